// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is typed at GRUB's menu: Enter, or arguments for the kernel of this one boot, as somebody at the console
//! would add them: `e`, down to the line `linux`, its end, the words, Ctrl-x.
//!
//! Nothing on the medium and nothing in memory is changed by hand. Entries differ from image to image, so the line
//! is found on the screen that GRUB draws.

use memchr::memmem;

/// GRUB's menu, waiting.
const COUNTDOWN: &[u8] = b"will be executed automatically";
/// Keys of menu and editor (GRUB manual, "Editing a menu entry").
const ENTER: u8 = b'\r';
const EDIT: u8 = b'e';
const DOWN: u8 = 0x0e;
const END_OF_LINE: u8 = 0x05;
const BOOT: u8 = 0x18;
/// The entry's first line as the editor shows it, and the line to go to.
const FIRST_LINE: &str = "setparams";
const KERNEL_LINE: &str = "linux";
/// How the editor ends a row of a line that goes on in the next.
const CONTINUED: char = '\\';
/// A screen of 24 rows with its escape sequences is less.
const SCREEN_LIMIT_BYTES: usize = 1 << 16;

/// Somebody who sits at GRUB's menu.
#[derive(Debug)]
pub struct Typist {
    wants: Wants,
    screen: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wants {
    /// The default entry, without waiting.
    Enter,
    /// To get into the editor, for these arguments.
    Edit(String),
    /// To find the kernel's line in it.
    Line(String),
    /// Nothing more.
    Nothing,
}

impl Typist {
    /// Presses Enter: three seconds of waiting are executed like everything else.
    pub fn in_a_hurry() -> Typist {
        Typist { wants: Wants::Enter, screen: Vec::new() }
    }

    /// Puts arguments behind those of the default entry.
    pub fn with_arguments(arguments: &str) -> Typist {
        Typist { wants: Wants::Edit(arguments.to_owned()), screen: Vec::new() }
    }

    /// Whether everything was typed that was to be.
    pub fn is_done(&self) -> bool {
        self.wants == Wants::Nothing
    }

    /// Takes output of the console; what is typed now.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_done() {
            return None;
        }
        self.screen.extend_from_slice(bytes);
        self.screen.drain(..self.screen.len().saturating_sub(SCREEN_LIMIT_BYTES));
        let keys = match &self.wants {
            Wants::Line(arguments) => {
                let down = lines_down(&String::from_utf8_lossy(&self.screen))?;
                let text = [b" ", arguments.as_bytes()].concat();
                [vec![DOWN; down], vec![END_OF_LINE], text, vec![BOOT]].concat()
            }
            Wants::Enter | Wants::Edit(_) => {
                memmem::find(&self.screen, COUNTDOWN)?;
                vec![if self.wants == Wants::Enter { ENTER } else { EDIT }]
            }
            Wants::Nothing => return None,
        };
        self.wants = match std::mem::replace(&mut self.wants, Wants::Nothing) {
            Wants::Edit(arguments) => Wants::Line(arguments),
            _ => Wants::Nothing,
        };
        self.screen.clear();
        Some(keys)
    }
}

/// How many lines below the entry's first one the kernel's is; `None` until both are drawn.
///
/// The editor puts the cursor to the start of every row that it draws: `ESC [ row ; column H text`.
fn lines_down(screen: &str) -> Option<usize> {
    let mut lines = 0;
    let mut inside = false;
    let mut continued = false;
    for piece in screen.split("\x1b[") {
        let Some((_, text)) = piece.split_once('H').filter(|(place, _)| is_place(place)) else { continue };
        let row = text.trim();
        if row.starts_with(FIRST_LINE) {
            (inside, lines) = (true, 0);
        } else if inside && !continued {
            lines += 1;
            if row.split(' ').next().is_some_and(|word| word.starts_with(KERNEL_LINE)) {
                // The row is complete once the next one has begun.
                return screen.rsplit("\x1b[").next().filter(|last| !last.contains(row)).map(|_| lines);
            }
        }
        continued = row.ends_with(CONTINUED);
    }
    None
}

fn is_place(text: &str) -> bool {
    text.split_once(';').is_some_and(|(row, column)| {
        [row, column].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The editor of GRUB 2.12 as it draws an entry of Talos.
    const EDITOR: &str = "\x1b[?25l\x1b[5;3Hsetparams 'A - Talos v1.10.9'     \x1b[6;3H       \
        \x1b[7;3H  set gfxmode=auto      \x1b[8;3H  set some=thing that is very lo\\\r\n\r\x1b[9;3Hng   \
        \x1b[10;3H  linux /A/vmlinuz talos.platform=metal console=tty0 consol\\\r\n\r\x1b[11;3He=ttyS2   \
        \x1b[12;3H  initrd /A/initramfs.xz   \x1b[5;3H\x1b[?25h";

    #[test]
    fn arguments_go_to_the_end_of_the_kernels_line() {
        let mut typist = Typist::with_arguments("initcall_debug");
        assert_eq!(typist.feed(b"GNU GRUB  version 2.12"), None);
        assert_eq!(
            typist.feed(b"The highlighted entry will be executed automatically in 3s."),
            Some(vec![EDIT])
        );
        assert_eq!(typist.feed(b"\x1b[5;3Hsetparams 'A'"), None);
        assert!(!typist.is_done());
        let keys = typist.feed(EDITOR.as_bytes()).expect("the line is on the screen");
        // Blank, gfxmode, the long line, linux.
        assert_eq!(keys, b"\x0e\x0e\x0e\x0e\x05 initcall_debug\x18");
        assert!(typist.is_done() && typist.feed(EDITOR.as_bytes()).is_none());
    }

    #[test]
    fn whoever_is_in_a_hurry_presses_enter_once() {
        let mut typist = Typist::in_a_hurry();
        assert_eq!(typist.feed(COUNTDOWN), Some(vec![ENTER]));
        assert_eq!(typist.feed(COUNTDOWN), None);
    }

    #[test]
    fn must_fail_to_find_a_line_that_is_not_there_or_not_complete() {
        let without = EDITOR.replace("  linux ", "  chainloader ");
        assert_eq!(lines_down(&without), None);
        let cut = EDITOR.split("\x1b[11;").next().expect("a beginning");
        assert_eq!(lines_down(cut), None);
        assert_eq!(lines_down(EDITOR), Some(4));
    }
}
