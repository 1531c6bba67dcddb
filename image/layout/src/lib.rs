//! The disk of a node as a value: its partition table, which partitions it has and how they grow, and the boot
//! loader's memory of its slots. The image builder writes it, the node reads and grows it; neither does so here.

mod gpt;
mod guid;
mod partitions;
mod slots;

pub use gpt::{ALIGNMENT, Entry, Fault, Found, SECTOR_BYTES, Table, Write};
pub use guid::Guid;
pub use partitions::{
    BIOS_BOOT, Change, DATA, ESP, ESP_SECTORS, MARK_NEW, META, META_SECTORS, MIB_SECTORS, Part, STATE,
    TooSmall, is_ours, settle,
};
pub use slots::{ENVIRONMENT_BYTES, LoadFault, Slot, Slots, TRIES_MAX, environment};
