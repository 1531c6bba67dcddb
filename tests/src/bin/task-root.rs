//! Prints the folder with the root file system for tasks that name no image, making it if needed. For scripts/lab.

fn main() -> anyhow::Result<()> {
    println!("{}", tests::task_root::path()?.display());
    Ok(())
}
