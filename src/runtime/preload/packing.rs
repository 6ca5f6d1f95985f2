//! How bytes are packed, and an archive's file as the bytes of its tar.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::error::Problem;
use super::read::Bounds;

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// How bytes are packed, told by how they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Packing {
    pub fn of(head: &[u8]) -> Self {
        const BEGINNINGS: [(&[u8], Packing); 4] = [
            (&[0x1f, 0x8b], Packing::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstd),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Packing::Xz),
            (b"BZh", Packing::Bzip2),
        ];
        let known = BEGINNINGS.iter().find(|(begin, _)| head.starts_with(begin));
        known.map_or(Self::Plain, |(_, packing)| *packing)
    }

    /// Refuses by name what containerd does not read.
    pub fn check(self, what: &str) -> Result<(), Problem> {
        let packer = match self {
            Self::Plain | Self::Gzip | Self::Zstd => return Ok(()),
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        };
        let what = what.to_owned();
        Err(Problem::Packed { what, packer })
    }
}

/// The bytes of a tar, from an archive's file.
pub(super) enum Source {
    /// As they are in the file, of which so many are left.
    Plain { file: BufReader<File>, left: u64 },
    /// Unpacked, of which so many more are believed.
    Packed { bytes: Box<dyn Read>, left: u64 },
}

impl Source {
    /// Begins at the file's beginning.
    pub fn open(mut file: File, path: &Path, bounds: &Bounds) -> Result<Self, Problem> {
        file.seek(SeekFrom::Start(0)).map_err(Problem::Read)?;
        let size = file.metadata().map_err(Problem::Read)?.len();
        let mut file = BufReader::with_capacity(BUFFER, file);
        let packing = Packing::of(file.fill_buf().map_err(Problem::Read)?);
        packing.check(&path.to_string_lossy())?;
        let bytes: Box<dyn Read> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
            Packing::Zstd => Box::new(Frames {
                source: file,
                decoder: FrameDecoder::new(),
            }),
            _ => return Ok(Self::Plain { file, left: size }),
        };
        let left = bounds.unpacked(size);
        Ok(Self::Packed { bytes, left })
    }

    /// Passes over bytes; an error where there are not so many.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match self {
            Self::Plain { file, left } => {
                *left = left
                    .checked_sub(bytes)
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
                file.seek_relative(bytes)
            }
            Self::Packed { .. } => {
                let skipped = io::copy(&mut self.take(bytes), &mut io::sink())?;
                match skipped == bytes {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, left) = match self {
            Self::Plain { file, left } => (file.read(buffer)?, left),
            Self::Packed { bytes, left } => (bytes.read(buffer)?, left),
        };
        *left = left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than an image archive would"))?;
        Ok(read)
    }
}

/// zstd data of any number of frames, which the decoder takes one by one.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame, where there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                let told = self.decoder.get_checksum_from_data();
                if told.is_some() && told != self.decoder.get_calculated_checksum() {
                    return Err(io::Error::other("a zstd frame's checksum is wrong"));
                }
                if !self.begin()? {
                    return Ok(0);
                }
            } else {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
        }
        self.decoder.read(buffer)
    }
}
