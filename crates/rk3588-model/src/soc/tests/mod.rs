// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Register scripts: what firmware does to a device, and what it must see.

mod media;

use super::*;
use crate::storage::Disk;
use std::io::Cursor;

pub(super) struct Bench {
    pub soc: Soc,
    pub ram: Ram,
    stopped: bool,
    ticks: u64,
}

impl Bench {
    pub fn new(parts: Parts) -> Self {
        Self {
            soc: Soc::new(parts),
            ram: Ram::new(&[0..0x100_0000, 0xff00_0000..0xff20_0000], 1 << 24),
            stopped: false,
            ticks: 24_000,
        }
    }

    fn access<R>(&mut self, act: impl FnOnce(&mut Soc, &mut Access<'_>) -> R) -> R {
        let mut access =
            Access { ram: &mut self.ram, pc: 0x1000, el: 3, ticks: self.ticks, instructions: 0, stop: false };
        let result = act(&mut self.soc, &mut access);
        self.stopped |= access.stop;
        result
    }

    pub fn read(&mut self, address: u64) -> u32 {
        self.access(|soc, access| soc.read(access, address, Width::Word)).unwrap() as u32
    }

    pub fn write(&mut self, address: u64, value: u32) {
        self.access(|soc, access| soc.write(access, address, Width::Word, value.into())).unwrap();
    }

    pub fn write_as(&mut self, address: u64, width: Width, value: u64) {
        self.access(|soc, access| soc.write(access, address, width, value)).unwrap();
    }

    /// One command of the SD host; its raw interrupt status.
    fn sd(&mut self, command: u32, argument: u32) -> u32 {
        self.write(SD + 0x44, u32::MAX);
        self.write(SD + 0x28, argument);
        self.write(SD + 0x2c, command | 1 << 31);
        self.read(SD + 0x44)
    }

    /// One command of the eMMC host; its interrupt status.
    fn emmc(&mut self, command: u16, argument: u32) -> u32 {
        self.write(EMMC + 0x30, u32::MAX);
        self.write(EMMC + 0x34, u32::MAX);
        self.write(EMMC + 0x08, argument);
        self.write_as(EMMC + 0x0e, Width::Half, command.into());
        self.read(EMMC + 0x30)
    }
}

const SD: u64 = 0xfe2c_0000;
const EMMC: u64 = 0xfe2e_0000;
const WITH_RESPONSE: u32 = 1 << 6;
const WITH_DATA: u32 = 1 << 9;
const WITH_WRITE: u32 = 1 << 10;

fn medium() -> Disk {
    let bytes: Vec<u8> = (0..64 * 512_u32).map(|n| (n / 512 + n % 7) as u8).collect();
    let len = bytes.len() as u64;
    Disk::new(Cursor::new(bytes), len)
}

fn with_sd() -> Bench {
    Bench::new(Parts { sd: Some(medium()), ..Parts::default() })
}

#[test]
fn masks_name_the_bits_that_change() {
    let mut bench = Bench::new(Parts::default());
    bench.write(0xfd5f_8000, 0xffff_1234);
    bench.write(0xfd5f_8000, 0x00f0_0050);
    assert_eq!(bench.read(0xfd5f_8000), 0x1254);
    bench.soc.behaviours = bench.soc.behaviours.without(Behaviour::WriteMasks);
    bench.write(0xfd5f_8000, 0x00f0_0050);
    assert_eq!(bench.read(0xfd5f_8000), 0x00f0_0050);
}

#[test]
fn strict_mode_reports_a_place_once_and_stops() {
    let mut bench = Bench::new(Parts::default());
    bench.soc.strict = true;
    bench.read(0xfe9f_0000);
    assert!(bench.stopped && bench.soc.take_unknown_hit());
    bench.stopped = false;
    bench.write(0xfe9f_0ff0, 1);
    bench.read(0xfe9f_0ff0);
    assert!(!bench.stopped);
    bench.write(0xfecc_0200, 5);
    assert!(bench.stopped);
    let lines: Vec<String> = bench.soc.reports.all().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "unknown block at 0xfe9f0000, read by EL3 at 0x1000",
            "unknown register 0xfecc0200 of otp, written 0x5 by EL3 at 0x1000"
        ]
    );
}

#[test]
fn nothing_answers_outside_of_the_register_space() {
    let mut bench = Bench::new(Parts::default());
    for address in [0x20_0000_0000, 0xb_0000_0000] {
        assert!(bench.access(|soc, access| soc.read(access, address, Width::Word)).is_err());
    }
}

#[test]
fn an_injected_fault_decides_what_is_read() {
    let mut bench = Bench::new(Parts::default());
    bench.soc.overrides.push(Override { address: 0xfd58_a208, mask: u32::MAX, value: 0 });
    assert_eq!(bench.read(0xfd58_a208), 0);
    assert_eq!(bench.read(0xfd58_a20c), 0x3000_1005);
}

#[test]
fn plls_lock_when_they_have_power() {
    let mut bench = Bench::new(Parts::default());
    for pll in [0xfd7c_0160, 0xfd7c_01a0, 0xfd7d_8220, 0xfd81_0000, 0xfd81_2020, 0xfd81_8040] {
        bench.write(pll + 4, 0x2000_2000);
        assert_eq!(bench.read(pll + 0x18) & 0x8000, 0, "{pll:#x}");
        bench.write(pll + 4, 0x2000_0000);
        assert_eq!(bench.read(pll + 0x18) & 0x8000, 0x8000, "{pll:#x}");
    }
}

#[test]
fn the_warm_reset_is_asked_for_once() {
    let mut bench = Bench::new(Parts::default());
    assert_eq!(bench.read(0xfd58_7010), 0x10);
    bench.write(0xfd58_7010, 0x10_0000);
    assert_eq!(bench.read(0xfd58_7010), 0);
}

#[test]
fn power_domains_follow_their_gates() {
    let mut bench = Bench::new(Parts::default());
    let on = bench.read(0xfd8d_8290);
    assert_eq!(on, 0x07ff_fffe);
    bench.write(0xfd8d_814c, 0x0001_0001); // gpu off
    assert_eq!(bench.read(0xfd8d_8290), on & !2);
    bench.write(0xfd8d_8150, 0x0200_0200); // nvm0 off: its memory is in the second word
    assert_eq!(bench.read(0xfd8d_81fc), 1 << 1);
    assert_eq!(bench.read(0xfd8d_81f4) & 2, 0);
    bench.write(0xfd8d_814c, 0x0002_0002); // npu off, and nputop, npu1, npu2 in it
    assert_eq!((bench.read(0xfd8d_8180) & 2, bench.read(0xfd8d_8290) & 0b1_1100), (2, 0));
    bench.write(0xfd8d_814c, 0x0002_0000);
    assert_eq!(bench.read(0xfd8d_8290) & 0b1_1100, 0b1_1100);
    bench.write(0xfd8d_8110, 0x0001_0001);
    assert_eq!((bench.read(0xfd8d_8118), bench.read(0xfd8d_8120)), (1 << 16, 1 << 16));
}

#[test]
fn otp_words_are_read_by_index_and_a_read_must_be_started() {
    let mut bench = Bench::new(Parts { otp: vec![1, 0xaabb_ccdd], ..Parts::default() });
    bench.write(0xfecc_0004, 0x301 << 16 | 1 << 8);
    assert_eq!(bench.read(0xfecc_0084), 0);
    bench.write(0xfecc_0008, 1);
    assert_eq!((bench.read(0xfecc_0084), bench.read(0xfecc_0020)), (2, 0xaabb_ccdd));
    bench.write(0xfecc_0084, 2);
    assert_eq!(bench.read(0xfecc_0084), 0);
}

#[test]
fn the_pmic_is_reached_over_spi2() {
    let mut bench = Bench::new(Parts::default());
    const SPI2: u64 = 0xfeb2_0000;
    bench.write(SPI2 + 0x0c, 1);
    bench.write(SPI2 + 0x08, 1);
    for byte in [0x80, 0x1a, 0x00, 0x28] {
        bench.write(SPI2 + 0x400, byte);
    }
    bench.write(SPI2 + 0x0c, 0);
    let voltage = Event::Voltage { regulator: "rk806.dcdc1".into(), microvolts: 750_000 };
    assert_eq!(bench.soc.events.all(), [voltage]);
    assert_eq!(bench.soc.devices.pmic().unwrap().buck_microvolts(1), Some(750_000));
}

#[test]
fn regulators_are_reached_over_i2c0_and_absent_chips_refuse() {
    let mut bench = Bench::new(Parts::default());
    const I2C0: u64 = 0xfd88_0000;
    bench.write(I2C0, 0b1001);
    assert_eq!(bench.read(I2C0 + 0x1c) & 0x10, 0x10);
    bench.write(I2C0 + 0x100, 0x42 << 1 | 0x06 << 8 | 0x28 << 16);
    bench.write(I2C0, 1);
    bench.write(I2C0 + 0x10, 3);
    assert_eq!(bench.read(I2C0 + 0x1c) & 0x44, 0x04);
    let voltage = Event::Voltage { regulator: "rk860x@0-42.vsel0".into(), microvolts: 750_000 };
    assert_eq!(bench.soc.events.all(), [voltage]);
    // Read it back.
    bench.write(I2C0, 0b1001);
    bench.write(I2C0 + 0x08, 1 << 24 | 0x42 << 1 | 1);
    bench.write(I2C0 + 0x0c, 1 << 24 | 0x06);
    bench.write(I2C0, 0b10_0011);
    bench.write(I2C0 + 0x14, 1);
    assert_eq!(bench.read(I2C0 + 0x200) & 0xff, 0x28);
    // Nobody at 0x50.
    bench.write(I2C0 + 0x1c, 0x7f);
    bench.write(I2C0, 0b1001);
    bench.write(I2C0 + 0x100, 0x50 << 1);
    bench.write(I2C0, 1);
    bench.write(I2C0 + 0x10, 1);
    assert_eq!(bench.read(I2C0 + 0x1c) & 0x40, 0x40);
}

#[test]
fn uarts_print_and_listen() {
    let mut bench = Bench::new(Parts::default());
    const UART2: u64 = 0xfeb5_0000;
    bench.write(UART2 + 0x0c, 0x83);
    bench.write(UART2, 1);
    bench.write(UART2 + 0x0c, 3);
    assert_eq!(bench.soc.devices.uarts[2].divisor(), 1);
    assert_eq!(bench.read(UART2 + 0x14), 0x60);
    // Loop, OUT2 and RTS come back as carrier and clear to send.
    assert_eq!(bench.read(UART2 + 0x18), 0xb0);
    bench.write(UART2 + 0x10, 0x1a);
    assert_eq!(bench.read(UART2 + 0x18), 0x90);
    bench.write(UART2 + 0x10, 0);
    bench.write(UART2, b'x'.into());
    assert_eq!(bench.soc.devices.uarts[2].take_output(), b"x");
    assert_eq!(bench.soc.devices.uarts[2].type_bytes(b"ok"), 2);
    assert_eq!(bench.read(UART2 + 0x14), 0x61);
    assert_eq!((bench.read(UART2), bench.read(UART2)), (b'o'.into(), b'k'.into()));
    assert_eq!(bench.read(UART2 + 0x14), 0x60);
}

#[test]
fn a_shared_line_reaches_the_core() {
    let mut bench = Bench::new(Parts::default());
    // UART2 (INTID 365): non-secure group, enabled, receive interrupt on.
    bench.write(0xfe60_0000, 0x37);
    bench.write(0xfe60_0080 + 11 * 4, 1 << 13);
    bench.write(0xfe60_0100 + 11 * 4, 1 << 13);
    bench.access(|soc, access| {
        soc.write_icc(access, SysReg::new(3, 0, 4, 6, 0), 0xf8).unwrap();
        soc.write_icc(access, SysReg::new(3, 6, 12, 12, 7), 1).unwrap();
    });
    bench.write(0xfeb5_0004, 1);
    bench.soc.devices.uarts[2].type_bytes(b"k");
    bench.read(0xfeb5_0014);
    let lines = bench.soc.lines(&mut bench.ram, 0, TimerLines::default());
    assert_eq!(lines, Lines { irq: true, fiq: false });
    bench.read(0xfeb5_0000);
    assert_eq!(bench.soc.lines(&mut bench.ram, 0, TimerLines::default()), Lines::default());
}

/// U-Boot enables the error bits but never bit 15, and waits for it (`sdhci_send_command`).
#[test]
fn the_sum_of_errors_shows_without_being_enabled() {
    let mut bench = Bench::new(Parts::default());
    bench.write(EMMC + 0x34, 0x00ff_0003);
    bench.write_as(EMMC + 0x0e, Width::Half, 0x081a);
    assert_eq!(bench.read(EMMC + 0x30), 0x1_8000);
}

#[test]
fn a_timer_wakes_the_core_when_it_is_due_and_not_before() {
    let mut bench = Bench::new(Parts::default());
    const TIMER0: u64 = 0xfeae_0000;
    bench.write(TIMER0, 1000);
    bench.write(TIMER0 + 4, 0);
    assert_eq!(bench.soc.next_event(), None);
    bench.write(TIMER0 + 0x10, 0b111);
    assert_eq!(bench.soc.next_event(), Some(25_000));
    bench.soc.lines(&mut bench.ram, 24_999, TimerLines::default());
    assert_eq!(bench.soc.lines.word(289 / 32) >> (289 % 32) & 1, 0);
    bench.soc.lines(&mut bench.ram, 25_000, TimerLines::default());
    assert_eq!((bench.soc.lines.word(289 / 32) >> (289 % 32) & 1, bench.soc.next_event()), (1, None));
    bench.ticks = 25_100;
    assert_eq!(bench.read(TIMER0 + 0x18), 1);
    bench.write(TIMER0 + 0x18, 1);
    assert_eq!((bench.read(TIMER0 + 0x18), bench.soc.next_event()), (0, Some(26_100)));
    bench.write(TIMER0 + 0x10, 0);
    assert_eq!(bench.soc.next_event(), None);
}

#[test]
fn a_temperature_needs_its_source_and_the_conversion() {
    let mut bench = Bench::new(Parts::default());
    let data = |channel: u64| 0xfec0_002c + 4 * channel;
    // Channel 3 only, then the conversion; Linux `rk_tsadcv4_control`.
    bench.write(0xfec0_000c, 1 << (16 + 3) | 1 << 3);
    assert_eq!(bench.read(data(3)), 0);
    bench.write(0xfec0_0004, 1 << 16 | 1);
    assert_eq!((bench.read(data(3)), bench.read(data(2))), (304, 0));
    // The other bits of the control register leave it running; its own ends it.
    bench.write(0xfec0_0004, 1 << (16 + 8));
    assert_eq!(bench.read(data(3)), 304);
    bench.write(0xfec0_0004, 1 << 16);
    assert_eq!(bench.read(data(3)), 0);
}
