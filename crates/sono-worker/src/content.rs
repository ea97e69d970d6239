//! Headers of an uploaded file: its name and content type.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader},
    path::Path,
};

use sono_bundle::{Links, open_regular};
use sono_types::constants;

/// The `Content-Disposition` for a file of this name. Characters that are not allowed in a header become `_`.
pub(crate) fn disposition(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_control() { '_' } else { letter })
        .collect();
    if name.is_empty() {
        return "attachment".to_owned();
    }
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    if name.bytes().all(is_token) {
        return format!("attachment;filename={name}");
    }
    if name.is_ascii() {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("attachment;filename=\"{escaped}\"");
    }
    // RFC 8187, as in Go.
    let mut encoded = String::from("attachment;filename*=utf-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}

/// The content type of a file by its extension; empty if unknown. The aggregator unpacks gzip and stores everything
/// else unchanged, so a gzip file without a tar archive gets no type. Unlike Sonobuoy, `.tgz` counts as gzip.
pub(crate) fn content_type(path: &Path) -> io::Result<&'static str> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    Ok(match extension.as_deref() {
        Some("gz" | "tgz") if is_tar_gz(BufReader::new(open_regular(path, Links::Followed)?))? => constants::GZIP_MIME,
        Some("json") => "application/json",
        Some("xml") => "text/xml; charset=utf-8",
        Some("yaml" | "yml") => "application/yaml",
        Some("txt" | "log") => "text/plain; charset=utf-8",
        Some("htm" | "html") => "text/html; charset=utf-8",
        _ => "",
    })
}

/// Whether the data is gzip that starts with a tar header or the end of a tar archive. Only read errors are returned.
fn is_tar_gz(mut reader: impl BufRead) -> io::Result<bool> {
    // A read error must not look like other content.
    reader.fill_buf()?;
    let mut archive = tar::Archive::new(flate2::bufread::MultiGzDecoder::new(reader));
    // Raw entries: a long name would be read into memory, one header is enough.
    let first = archive.entries().map(|entries| entries.raw(true).next());
    Ok(match first {
        Ok(Some(entry)) => entry.is_ok(),
        Ok(None) => true,
        Err(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use fs_err as fs;

    use super::*;

    #[test]
    fn file_names_survive_encoding() {
        for (name, header) in [
            ("results.tar.gz", "attachment;filename=results.tar.gz"),
            ("a b.xml", "attachment;filename=\"a b.xml\""),
            ("a\"\\;b", "attachment;filename=\"a\\\"\\\\;b\""),
            ("a\r\nX: y", "attachment;filename=\"a__X: y\""),
            ("bäh.xml", "attachment;filename*=utf-8''b%C3%A4h.xml"),
            ("", "attachment"),
        ] {
            assert_eq!(disposition(name), header);
        }
    }

    fn check(name: &str, content: &[u8], expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        assert_eq!(content_type(&path).unwrap(), expected, "{name}");
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn tarball() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        // A name longer than a header: the archive begins with an entry for the name.
        builder.append_data(&mut header, "n".repeat(200), &b"x"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn only_archives_get_the_gzip_type() {
        check("a.tar.gz", &gzip(&tarball()), "application/gzip");
        check("a.tgz", &gzip(&tarball()), "application/gzip");
        check("A.TGZ", &gzip(&tarball()), "application/gzip");
        check("empty.tar.gz", &gzip(&[0; 1024]), "application/gzip");
        check("a.log.gz", &gzip(&b"just text\n".repeat(100)), "");
        check("a.gz", b"not even gzip", "");
        check("a.gz", b"", "");
        check("a.tar", &tarball(), "");
    }

    #[test]
    fn content_type_depends_on_the_extension() {
        check("junit_01.xml", b"", "text/xml; charset=utf-8");
        check("a.json", b"", "application/json");
        check("a.yaml", b"", "application/yaml");
        check("a.txt", b"", "text/plain; charset=utf-8");
        check("result", b"", "");
    }

    #[test]
    fn missing_file_is_an_error() {
        assert_eq!(
            content_type(Path::new("/no/such.gz")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
