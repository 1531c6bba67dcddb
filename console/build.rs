//! Joins the console's two scripts into one file, so that a page costs one request less.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let vendor = "assets/vendor/htmx.min.js";
    let own = "assets/console.js";
    println!("cargo:rerun-if-changed={vendor}");
    println!("cargo:rerun-if-changed={own}");
    println!("cargo:rerun-if-changed=templates");
    let Ok(htmx) = fs::read_to_string(vendor) else {
        panic!("console/{vendor} is missing: run scripts/setup once, it fetches and checks it");
    };
    let own = fs::read_to_string(own).expect("console.js is part of the source tree");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("console.js");
    fs::write(out, format!("{htmx}\n{own}")).expect("OUT_DIR is writable");
}
