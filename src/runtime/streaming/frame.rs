//! The frames of SPDY/3.1 that a command's streams need: made for sending, and told apart when they
//! come. Pure; never reads what is compressed in an answer, which nobody needs to know.
//!
//! Follows the SPDY/3.1 draft as the streaming servers of CRI runtimes speak it. Headers go as a
//! zlib stream of stored blocks: no dictionary has to be agreed on, and nothing is kept between
//! frames but that the stream's head was sent.

/// Bytes before a frame's payload.
pub(super) const HEAD: usize = 8;

const CONTROL: u8 = 0x80;
const VERSION: [u8; 2] = [CONTROL, 3];
const FIN: u8 = 1;
const SYN_STREAM: u16 = 1;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
/// Frames carry at most this much payload here; the protocol's field would take 16 MiB.
pub(super) const MAX_PAYLOAD: usize = 32 << 10;
/// The head of a zlib stream that is not compressed (RFC 1950).
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];
/// An empty stored block: whoever inflates hands out all that came before (RFC 1951).
const SYNC: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// A frame as its first bytes tell it; `length` bytes of payload follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// Bytes of a stream, its last ones with `fin`.
    Bytes {
        stream: u32,
        fin: bool,
        length: usize,
    },
    /// A stream ends without having said all; its number is the payload's first four bytes.
    Reset { length: usize },
    /// To be sent back as it is.
    Ping { length: usize },
    /// Settings, windows, answers to streams, farewells: nothing to do about.
    Other { length: usize },
}

impl Head {
    /// Reads a head; nothing where it is of no version 3 frame.
    pub(super) fn read(bytes: [u8; HEAD]) -> Option<Self> {
        let [a, b, c, d, flags, x, y, z] = bytes;
        let length = u32::from_be_bytes([0, x, y, z]) as usize;
        if a & CONTROL == 0 {
            return Some(Self::Bytes {
                stream: u32::from_be_bytes([a, b, c, d]),
                fin: flags & FIN != 0,
                length,
            });
        }
        if [a, b] != VERSION {
            return None;
        }
        Some(match u16::from_be_bytes([c, d]) {
            RST_STREAM => Self::Reset { length },
            PING => Self::Ping { length },
            _ => Self::Other { length },
        })
    }
}

/// The number in the first four bytes of a payload.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    let four = payload.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four) & (u32::MAX >> 1))
}

/// Opens a stream with one header. `first` for the first stream of a connection.
pub(super) fn open(stream: u32, header: (&str, &str), first: bool) -> Vec<u8> {
    let mut block = 1_u32.to_be_bytes().to_vec();
    for text in [header.0, header.1] {
        block.extend(length_of(text.as_bytes()).to_be_bytes());
        block.extend(text.as_bytes());
    }
    let mut payload = stream.to_be_bytes().to_vec();
    // No stream it belongs to, highest priority, no credentials.
    payload.extend([0; 6]);
    if first {
        payload.extend(ZLIB_HEAD);
    }
    payload.extend(stored(&block));
    control(SYN_STREAM, &payload)
}

/// Answers a ping.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    control(PING, payload)
}

/// The head of a frame of bytes.
pub(super) fn bytes_head(stream: u32, length: usize, fin: bool) -> [u8; HEAD] {
    let [a, b, c, d] = stream.to_be_bytes();
    let [_, x, y, z] = low(length).to_be_bytes();
    [a, b, c, d, u8::from(fin) * FIN, x, y, z]
}

fn control(kind: u16, payload: &[u8]) -> Vec<u8> {
    let [c, d] = kind.to_be_bytes();
    let [_, x, y, z] = low(payload.len()).to_be_bytes();
    let mut frame = vec![VERSION[0], VERSION[1], c, d, 0, x, y, z];
    frame.extend(payload);
    frame
}

/// A stored block and the empty one behind it. A header is far shorter than such a block may be.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut block = vec![0];
    block.extend(length.to_le_bytes());
    block.extend((!length).to_le_bytes());
    block.extend(bytes);
    block.extend(SYNC);
    block
}

fn length_of(bytes: &[u8]) -> u32 {
    low(bytes.len())
}

fn low(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn headers_inflate_to_what_they_were() {
        let mut zlib = Vec::new();
        for (n, name) in [(1, "error"), (3, "stdin")] {
            let frame = open(n, ("streamtype", name), n == 1);
            assert_eq!(frame[..4], [0x80, 3, 0, 1]);
            assert_eq!(frame[8..12], n.to_be_bytes());
            let length = u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
            assert_eq!(frame.len(), HEAD + length);
            zlib.extend(&frame[HEAD + 10..]);
        }
        let mut plain = Vec::new();
        // The stream never ends, so only what is there can be read.
        let ended = flate2::read::ZlibDecoder::new(&zlib[..]).read_to_end(&mut plain);
        assert!(ended.is_err() || !plain.is_empty());
        let block = |name: &str| {
            [
                &[0, 0, 0, 1, 0, 0, 0, 10][..],
                b"streamtype",
                &[0, 0, 0, 5],
                name.as_bytes(),
            ]
            .concat()
        };
        assert_eq!(plain, [block("error"), block("stdin")].concat());
    }

    #[test]
    fn heads() {
        let head = bytes_head(5, 0x01_02_03, true);
        let expected = Head::Bytes {
            stream: 5,
            fin: true,
            length: 0x01_02_03,
        };
        assert_eq!(Head::read(head), Some(expected));
        let ping = pong(&[0, 0, 0, 7]);
        let head = ping[..HEAD].try_into().expect("eight bytes");
        assert_eq!(Head::read(head), Some(Head::Ping { length: 4 }));
        assert_eq!(
            Head::read([0x80, 3, 0, 3, 0, 0, 0, 8]),
            Some(Head::Reset { length: 8 })
        );
        assert_eq!(
            Head::read([0x80, 3, 0, 7, 0, 0, 0, 8]),
            Some(Head::Other { length: 8 })
        );
        assert_eq!(Head::read([0x80, 2, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(number(&[0x80, 0, 0, 9, 1]), Some(9));
        assert_eq!(number(&[1]), None);
    }
}
