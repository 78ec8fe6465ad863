// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A stub made by hand, what is appended to it, and what is no stub. The real one of Debian is a test of xtask.

use super::*;

/// An EFI application for arm64 with `.text` and `.sbat`, as `elf2efi` lays it out.
fn stub() -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    bytes[..2].copy_from_slice(b"MZ");
    let header = 0x78;
    let put16 =
        |bytes: &mut Vec<u8>, at: usize, value: u16| bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    let put =
        |bytes: &mut Vec<u8>, at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(&mut bytes, 0x3c, header as u32);
    bytes[header..header + 4].copy_from_slice(b"PE\0\0");
    put16(&mut bytes, header + 4, 0xaa64);
    put16(&mut bytes, header + 6, 2);
    put16(&mut bytes, header + 20, 112 + 16 * 8);
    put16(&mut bytes, header + 22, 0x22);
    let optional = header + 24;
    put16(&mut bytes, optional, 0x20b);
    put16(&mut bytes, optional + 2, 0x0102);
    put(&mut bytes, optional + 32, 0x1000);
    put(&mut bytes, optional + 36, 0x200);
    put(&mut bytes, optional + 56, 0x3000);
    put(&mut bytes, optional + 60, 0x400);
    put(&mut bytes, optional + 64, 0x1234);
    put16(&mut bytes, optional + 68, 10);
    put(&mut bytes, optional + 108, 16);
    let table = optional + 112 + 128;
    for (index, (name, size, address, place, flags)) in
        [(".text", 0x180, 0x1000, 0x400, 0x6000_0020_u32), (".sbat", 0x50, 0x2000, 0x600, 0x4000_0040)]
            .into_iter()
            .enumerate()
    {
        let at = table + index * 40;
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        for (offset, value) in [(8, size), (12, address), (16, 0x200), (20, place)] {
            put(&mut bytes, at + offset, value);
        }
        put(&mut bytes, at + 36, flags);
        bytes[place as usize..(place + size) as usize].fill(index as u8 + 1);
    }
    bytes.truncate(0x800);
    bytes
}

fn parts() -> Parts {
    Parts {
        os_release: os_release("v1.10.9"),
        cmdline: "talos.platform=metal console=tty0".to_owned(),
        kernel_release: Some("6.18.15-0123abcd".to_owned()),
        linux: vec![0x4c; 5000],
        initrd: vec![0x49; 4096],
    }
}

#[test]
fn what_goes_in_comes_out() {
    let made = assemble(&Stub::parse(&stub()).expect("a stub"), parts().sections(), 77).expect("a UKI");
    let uki = Uki::parse(&made).expect("a UKI");
    let names = [
        ".text", ".sbat", ".osrel", ".cmdline", ".uname", ".linux", ".initrd", ".profile", ".profile",
        ".cmdline",
    ];
    assert_eq!(uki.names(), names);
    assert_eq!(uki.section(".linux").expect("kernel"), vec![0x4c; 5000]);
    assert_eq!(uki.section(".initrd").expect("initramfs"), vec![0x49; 4096]);
    // The first of a name; the second profile has the reset argument.
    assert_eq!(uki.section(".cmdline").expect("line"), b"talos.platform=metal console=tty0");
    let second = uki.all(".cmdline")[1];
    assert!(second.ends_with(b"console=tty0 talos.experimental.wipe=system:EPHEMERAL,STATE"));
    assert_eq!(uki.section(".text").expect("code"), vec![1; 0x180]);
    assert!(uki.section(".dtb").is_err());
    assert_eq!(
        made,
        assemble(&Stub::parse(&stub()).expect("a stub"), parts().sections(), 77).expect("again")
    );
}

#[test]
fn headers_follow_the_rules() {
    let made = assemble(&Stub::parse(&stub()).expect("a stub"), parts().sections(), 77).expect("a UKI");
    let word = |at: usize| u32::from_le_bytes(made[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(word(0x3c), 0x80);
    assert_eq!(&made[0x80..0x84], b"PE\0\0");
    assert_eq!((word(0x88), word(0x8c)), (77, 0), "time, no symbols");
    let optional = 0x98;
    assert_eq!(made[optional + 2..optional + 4], [0, 0], "linker version");
    assert_eq!(word(optional + 64), 0, "checksum");
    // Each address at the alignment of 0x1000, right behind the one before.
    let table = optional + 112 + 128;
    let addresses: Vec<u32> = (0..10).map(|i| word(table + i * 40 + 12)).collect();
    assert_eq!(addresses, [0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x8000, 0x9000, 0xa000, 0xb000]);
    assert_eq!(word(optional + 56), 0xc000, "size in memory");
    assert_eq!(word(table + 5 * 40 + 8), 5000, "exact length");
    assert_eq!(word(table + 5 * 40 + 16), 5120, "in the file");
    assert_eq!(made.len() % 0x200, 0);
}

#[test]
fn a_uki_gives_its_stub_back() {
    let plain = Stub::parse(&stub()).expect("a stub");
    let made = assemble(&plain, parts().sections(), 1).expect("a UKI");
    let again = assemble(&Stub::parse(&made).expect("its stub"), parts().sections(), 1).expect("a UKI");
    assert!(made == again);
}

#[test]
fn must_fail_01_no_stub() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = stub();
        change(&mut bytes);
        Stub::parse(&bytes).expect_err("must be refused")
    };
    assert!(matches!(refused(&|b| b[0] = 0), Error::NotPe(_)));
    assert!(matches!(refused(&|b| b.truncate(0x100)), Error::NotPe(_)));
    assert!(matches!(refused(&|b| b[0x7c] = 0), Error::NotForBoard(_)), "another processor");
    assert!(matches!(refused(&|b| b[0x90 + 68] = 3), Error::NotForBoard(_)), "not for EFI");
    assert!(matches!(refused(&|b| b[0x78 + 12] = 1), Error::Stub(_)), "symbols");
    assert!(matches!(refused(&|b| b[0x90 + 36] = 3), Error::Stub(_)), "alignment");
    assert!(matches!(refused(&|b| b.truncate(0x500)), Error::NotPe(_)), "a section outside");
    // A kernel is a PE file, too, but there is nothing left of it as a stub.
    let mut kernel = stub();
    let table = 0x78 + 24 + 112 + 128;
    for index in 0..2 {
        kernel[table + index * 40..table + index * 40 + 8].copy_from_slice(b".linux\0\0");
    }
    assert!(matches!(Stub::parse(&kernel), Err(Error::Stub(_))));
}

#[test]
fn must_fail_02_too_much() {
    let many = (0..100).map(|_| Section::new(".profile", vec![1])).collect();
    let why = assemble(&Stub::parse(&stub()).expect("a stub"), many, 0).expect_err("no room for headers");
    assert!(why.to_string().contains("102 sections"), "{why}");
}
