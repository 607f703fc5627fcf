//! Small text files from an administrator: credentials and what belongs to them.

use std::{fs, io, path::Path};

use super::byte_order_mark::without_mark;

/// Reads a text file of at most this many bytes, without its byte order mark. Anything that is not a regular file is refused: reading a
/// pipe might never end.
pub(in crate::google) fn read_capped(path: &Path, max: u64) -> io::Result<String> {
    use std::{io::Read, os::unix::fs::OpenOptionsExt};
    // Checks what was opened, not what had the name before. O_NONBLOCK: opening a pipe would wait for its other end.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let length = file.take(max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(length).is_ok_and(|length| length > max) {
        return Err(io::Error::other(format!("it is longer than {max} bytes")));
    }
    let text = without_mark(&bytes).map_err(io::Error::other)?;
    let text = std::str::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_text_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for (bytes, said) in [
            (vec![b'x'; 11], "longer than 10"),
            (vec![0xff], "not UTF-8 text"),
        ] {
            fs::write(&path, bytes).unwrap();
            let error = read_capped(&path, 10).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_capped(&path, 10).unwrap(), "0123456789");
        fs::write(&path, "\u{feff}0123456").unwrap();
        assert_eq!(read_capped(&path, 10).unwrap(), "0123456");
        for text in [b"\xff\xfe{\0", b"\xfe\xff\0{"] {
            fs::write(&path, text).unwrap();
            let error = read_capped(&path, 10).unwrap_err().to_string();
            assert!(error.contains("it is in UTF-16"), "{error}");
        }
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for odd in [folder.path(), &pipe] {
            let error = read_capped(odd, 10).unwrap_err().to_string();
            assert!(error.contains("not a file"), "{error}");
        }
    }
}
