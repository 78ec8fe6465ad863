// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Netlink requests: built, sent, and the kernel's answer awaited.
//!
//! Layouts: `linux/netlink.h`. What the numbers mean is with the callers.

use std::io;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// `NETLINK_ROUTE`: number 0, for which there is no other name.
pub const ROUTE: Option<Protocol> = None;
/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
pub const ACK: u16 = 4;
/// `NLM_F_EXCL | NLM_F_CREATE`.
pub const CREATE: u16 = 0x200 | 0x400;
/// `NLMSG_ERROR`: the answer to a request, with 0 for success.
const ERROR: u16 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
const HEADER_BYTES: usize = 16;

/// A message under construction.
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A message of a type, with the flags.
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.resize(HEADER_BYTES, 0);
        Message { bytes }
    }

    /// The fixed part behind the header.
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// An attribute.
    pub fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.bytes, kind, value);
        self
    }

    /// An attribute that holds a text, with its NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.attr(kind, format!("{value}\0").as_bytes())
    }

    /// An attribute that holds attributes.
    pub fn nested(mut self, kind: u16, inner: Attributes) -> Self {
        put(&mut self.bytes, kind | NESTED, &inner.0);
        self
    }

    /// The finished bytes.
    pub fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes
    }
}

/// Attributes inside of an attribute.
#[derive(Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// None yet.
    pub fn new() -> Self {
        Attributes::default()
    }

    /// Raw bytes, for those few attributes that begin with a structure.
    pub fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// One more.
    pub fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.0, kind, value);
        self
    }

    /// One that holds a text, with its NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.attr(kind, format!("{value}\0").as_bytes())
    }

    /// One that holds attributes.
    pub fn nested(mut self, kind: u16, inner: Attributes) -> Self {
        put(&mut self.0, kind | NESTED, &inner.0);
        self
    }
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A socket of one netlink family.
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel lacks the family.
    pub fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        Ok(Socket(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?))
    }

    /// Sends messages and reads answers until `acks` of them came, each of which must be good.
    ///
    /// # Errors
    /// The first bad answer.
    pub fn request(&self, messages: &[u8], acks: usize) -> io::Result<()> {
        send(&self.0, messages, SendFlags::empty())?;
        let mut seen = 0;
        let mut buffer = vec![0; 16 << 10];
        while seen < acks {
            let (_, length) = recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            for answer in answers(&buffer[..length]) {
                match answer {
                    0 => seen += 1,
                    code => return Err(io::Error::from_raw_os_error(code)),
                }
            }
        }
        Ok(())
    }
}

/// The error numbers of the `NLMSG_ERROR` messages in a datagram; 0 is an acknowledgement.
fn answers(mut bytes: &[u8]) -> Vec<i32> {
    let mut found = Vec::new();
    while bytes.len() >= HEADER_BYTES {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        if length < HEADER_BYTES || length > bytes.len() {
            break;
        }
        if kind == ERROR && length >= HEADER_BYTES + 4 {
            let code = &bytes[HEADER_BYTES..HEADER_BYTES + 4];
            found.push(-i32::from_ne_bytes([code[0], code[1], code[2], code[3]]));
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_aligned_and_counted() {
        let inner = Attributes::new().text(1, "ab").attr(2, &[9]);
        let bytes = Message::new(16, REQUEST | ACK).fixed(&[7; 4]).nested(18, inner).text(3, "x").finish();
        let [l0, l1, l2, l3, ..] = bytes[..] else { panic!("short") };
        // Header, fixed part, a nest of two padded attributes, and one that ends in padding.
        assert_eq!(u32::from_ne_bytes([l0, l1, l2, l3]) as usize, 16 + 4 + (4 + 8 + 8) + 8);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes[20..24], [20_u16.to_ne_bytes(), (18 | NESTED).to_ne_bytes()].concat());
        assert_eq!(bytes[24..32], [&7_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes(), b"ab\0\0"].concat());
    }

    #[test]
    fn answers_are_found_behind_other_messages() {
        let answer = |code: i32| Message::new(ERROR, 0).fixed(&code.to_ne_bytes()).finish();
        let all = [Message::new(16, 0).fixed(&[0; 5]).finish(), answer(0), answer(-17)].concat();
        assert_eq!(answers(&all), [0, 17]);
        assert!(answers(&all[..10]).is_empty());
        // A length that does not fit ends the search.
        assert!(answers(&[0xff; 32]).is_empty());
    }
}
