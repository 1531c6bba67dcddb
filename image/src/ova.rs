//! The appliance for VirtualBox and VMware: a tar archive of a description (OVF 1.0), checksums, and the disk.
//!
//! Importers are particular: the description comes first, then the checksums; sections in this order; the elements of
//! an item in alphabetical order; a controller both know (AHCI) and a network card both have (E1000).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::lock::{hex, sha256_file};
use sha2::{Digest, Sha256};

const NAME: &str = "meseta";
const PROCESSORS: u32 = 2;
const MEMORY_MIB: u32 = 2048;
const BLOCK: usize = 512;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The disk, a stream-optimised VMDK
    #[arg(long, value_name = "FILE")]
    disk: PathBuf,
    /// The archive to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Size of the disk in MiB as the machine sees it
    #[arg(long, value_name = "MIB")]
    size: u64,
}

pub fn build(args: &Args) -> anyhow::Result<()> {
    let disk_name = format!("{NAME}-disk1.vmdk");
    let file_bytes =
        fs::metadata(&args.disk).with_context(|| format!("reading {}", args.disk.display()))?.len();
    let description = description(&disk_name, file_bytes, args.size * 1024 * 1024);
    let sums = format!(
        "SHA256({NAME}.ovf)= {}\nSHA256({disk_name})= {}\n",
        hex(&Sha256::digest(description.as_bytes())),
        sha256_file(&args.disk)?
    );
    let partial = args.out.with_extension("partial");
    write(&partial, &description, &sums, (&disk_name, &args.disk, file_bytes))
        .with_context(|| format!("writing {}", partial.display()))?;
    fs::rename(&partial, &args.out).with_context(|| format!("renaming {}", partial.display()))
}

fn write(out: &Path, description: &str, sums: &str, disk: (&str, &Path, u64)) -> io::Result<()> {
    let mut out = io::BufWriter::new(File::create(out)?);
    for (name, text) in [(format!("{NAME}.ovf"), description), (format!("{NAME}.mf"), sums)] {
        out.write_all(&tar_header(&name, text.len() as u64))?;
        out.write_all(text.as_bytes())?;
        pad(&mut out, text.len() as u64)?;
    }
    let (name, path, bytes) = disk;
    out.write_all(&tar_header(name, bytes))?;
    io::copy(&mut File::open(path)?, &mut out)?;
    pad(&mut out, bytes)?;
    out.write_all(&[0; 2 * BLOCK])?;
    out.flush()
}

fn pad(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let rest = (bytes % BLOCK as u64) as usize;
    out.write_all(&[0; BLOCK][..(BLOCK - rest) % BLOCK])
}

/// The header of the archive format that every importer knows (ustar).
fn tar_header(name: &str, bytes: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{bytes:011o} "));
    put(136, "00000000000 ");
    // The checksum counts its own field as blanks.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn description(disk: &str, file_bytes: u64, capacity: u64) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let format = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
    <File ovf:href="{disk}" ovf:id="file1" ovf:size="{file_bytes}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="disk1" ovf:fileRef="file1" ovf:format="{format}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="VM Network">
      <Description>Where the console is reached</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{NAME}">
    <Info>A node</Info>
    <Name>{NAME}</Name>
    <OperatingSystemSection ovf:id="101" vmw:osType="otherLinux64Guest">
      <Info>The operating system</Info>
      <Description>Meseta {version}</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{NAME}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
{items}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#,
        items = items()
    )
}

fn items() -> String {
    let (processors, memory) = (PROCESSORS.to_string(), MEMORY_MIB.to_string());
    let items: [&[(&str, &str)]; 5] = [
        &[
            ("AllocationUnits", "hertz * 10^6"),
            ("ElementName", "processors"),
            ("InstanceID", "1"),
            ("ResourceType", "3"),
            ("VirtualQuantity", &processors),
        ],
        &[
            ("AllocationUnits", "byte * 2^20"),
            ("ElementName", "memory"),
            ("InstanceID", "2"),
            ("ResourceType", "4"),
            ("VirtualQuantity", &memory),
        ],
        &[
            ("Address", "0"),
            ("ElementName", "disk controller"),
            ("InstanceID", "3"),
            ("ResourceSubType", "vmware.sata.ahci"),
            ("ResourceType", "20"),
        ],
        &[
            ("AddressOnParent", "0"),
            ("ElementName", "disk"),
            ("HostResource", "ovf:/disk/disk1"),
            ("InstanceID", "4"),
            ("Parent", "3"),
            ("ResourceType", "17"),
        ],
        &[
            ("AddressOnParent", "7"),
            ("AutomaticAllocation", "true"),
            ("Connection", "VM Network"),
            ("ElementName", "network card"),
            ("InstanceID", "5"),
            ("ResourceSubType", "E1000"),
            ("ResourceType", "10"),
        ],
    ];
    let element = |(name, value): &(&str, &str)| format!("        <rasd:{name}>{value}</rasd:{name}>\n");
    let item = |item: &&[(&str, &str)]| {
        format!("      <Item>\n{}      </Item>\n", item.iter().map(element).collect::<String>())
    };
    items.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_an_item_are_in_order() {
        let text = items();
        for item in text.split("<Item>").skip(1) {
            let names: Vec<&str> = item
                .lines()
                .filter_map(|line| line.trim().strip_prefix("<rasd:")?.split('>').next())
                .collect();
            assert!(names.len() >= 5 && names.is_sorted(), "{names:?}");
        }
    }

    #[test]
    fn a_header_has_its_checksum() {
        let mut header = tar_header("a.ovf", 1000);
        let told = String::from_utf8_lossy(&header[148..154]).into_owned();
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(u32::from_str_radix(&told, 8).ok(), Some(sum));
        assert_eq!(&header[124..135], b"00000001750");
    }
}
