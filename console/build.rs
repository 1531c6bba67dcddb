//! Lays out what the console serves beside its pages; its two scripts become one, so that a page costs one request less.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let vendor = "assets/vendor/htmx.min.js";
    let own = "assets/console.js";
    let style = "assets/console.css";
    println!("cargo:rerun-if-changed={vendor}");
    println!("cargo:rerun-if-changed={own}");
    println!("cargo:rerun-if-changed={style}");
    println!("cargo:rerun-if-changed=templates");
    let Ok(htmx) = fs::read_to_string(vendor) else {
        panic!("console/{vendor} is missing: run scripts/setup once, it fetches and checks it");
    };
    let own = fs::read_to_string(own).expect("console.js is part of the source tree");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("assets");
    fs::create_dir_all(&out).expect("OUT_DIR is writable");
    fs::write(out.join("console.js"), format!("{htmx}\n{own}")).expect("OUT_DIR is writable");
    fs::copy(style, out.join("console.css")).expect("console.css is part of the source tree");
}
