//! Lays out what the console serves beside its pages; scripts and style sheets become one of each, so that a page costs one request less.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let vendor = "assets/vendor/htmx.min.js";
    let own = "assets/console.js";
    let styles = ["assets/console.css", "assets/inspect.css"];
    println!("cargo:rerun-if-changed={vendor}");
    println!("cargo:rerun-if-changed={own}");
    styles.iter().for_each(|style| println!("cargo:rerun-if-changed={style}"));
    println!("cargo:rerun-if-changed=templates");
    let Ok(htmx) = fs::read_to_string(vendor) else {
        panic!("console/{vendor} is missing: run scripts/setup once, it fetches and checks it");
    };
    let own = fs::read_to_string(own).expect("console.js is part of the source tree");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("assets");
    fs::create_dir_all(&out).expect("OUT_DIR is writable");
    fs::write(out.join("console.js"), format!("{htmx}\n{own}")).expect("OUT_DIR is writable");
    let style = |path| fs::read_to_string(path).expect("style sheets are part of the source tree");
    fs::write(out.join("console.css"), styles.map(style).concat()).expect("OUT_DIR is writable");
}
