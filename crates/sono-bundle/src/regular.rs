//! Opens files in directories with other writers, where an apparent file may be a device or a FIFO without a writer.

use std::{fs::FileType, io, path::Path};

use fs_err as fs;

/// How a symbolic link at the end of a path is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The link is followed.
    Followed,
    /// The link is an error.
    Refused,
}

/// Opens a regular file for reading, without blocking.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] and the like, or an error that names the type of a special file.
pub fn open_regular(path: &Path, links: Links) -> io::Result<fs::File> {
    // Special files are not opened: opening some devices has side effects.
    let metadata = match links {
        Links::Followed => fs::metadata(path)?,
        Links::Refused => fs::symlink_metadata(path)?,
    };
    only_regular(metadata.file_type())?;
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        use rustix::fs::OFlags;
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, links == Links::Refused);
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    // The file may have been replaced meanwhile.
    only_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn only_regular(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {}, not a file", name(kind)),
    ))
}

/// The name of a file type other than a regular file.
pub(crate) fn name(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a FIFO";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a link"
    } else {
        "a special file"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        io::Read as _,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn special_file_is_rejected_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "content").unwrap();
        mkfifoat(CWD, path("fifo"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        symlink("/dev/zero", path("device")).unwrap();
        symlink("file", path("link")).unwrap();
        symlink("fifo", path("link to fifo")).unwrap();
        let open = |name: &str, links| {
            let mut text = String::new();
            let mut file = open_regular(&path(name), links).map_err(|error| error.to_string())?;
            file.read_to_string(&mut text).unwrap();
            Ok(text)
        };
        let content = Ok("content".to_owned());
        let refused = |what: &str| Err(format!("it is {what}, not a file"));
        for (name, followed, refused) in [
            ("file", content.clone(), content.clone()),
            ("link", content, refused("a link")),
            ("fifo", refused("a FIFO"), refused("a FIFO")),
            ("link to fifo", refused("a FIFO"), refused("a link")),
            ("socket", refused("a socket"), refused("a socket")),
            ("directory", refused("a directory"), refused("a directory")),
            ("device", refused("a device"), refused("a link")),
        ] {
            assert_eq!(open(name, Links::Followed), followed, "{name}");
            assert_eq!(open(name, Links::Refused), refused, "{name}");
        }
        let missing = open_regular(&path("missing"), Links::Followed).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
