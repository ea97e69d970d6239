//! Redaction of files of any content, in constant memory.

use std::{
    io::{self, Read, Seek, Write},
    ops::ControlFlow,
    path::Path,
};

use sono_redact::{Layers, Redactions, Redactor};

use crate::{
    regular::{Links, open_regular},
    store::{StagedFile, StoreError},
    walk::walk,
};

/// A search for secrets in files.
#[derive(Debug, Clone, Copy)]
pub struct FileSearch<'r> {
    redactor: &'r Redactor,
    layers: Layers,
    kind: &'r str,
}

impl<'r> FileSearch<'r> {
    /// A search by these layers. `kind` names the files in the counts, such as `PluginResult`.
    pub fn new(redactor: &'r Redactor, layers: Layers, kind: &'r str) -> Self {
        Self { redactor, layers, kind }
    }

    /// Copies the content of one file without its secrets to `out`. Returns the counts and the content that could not be
    /// searched. Content without secrets is copied byte for byte; compressed files and archives are replaced as a whole if they
    /// contain a secret.
    pub fn copy(&self, content: &mut (impl Read + Seek), out: &mut dyn Write) -> io::Result<Redactions> {
        self.redactor.file(self.kind, content, self.layers, out)
    }

    /// Finds the secrets in the content of one file, and in the files in it if it is compressed or an archive.
    pub fn search(&self, content: &mut dyn Read) -> io::Result<Redactions> {
        self.redactor.search_file(self.kind, content, self.layers)
    }

    /// Replaces the secrets in all files below `root` with a relative name for which `is_included` holds, in lexical order,
    /// and passes the name, size and counts of each file to `record`. Of files beyond `budget` bytes in total, only the names
    /// are searched. A secret in a name is replaced in the recorded name only, and counted as content that could not be
    /// searched.
    pub fn replace_below(
        &self,
        root: &Path,
        mut budget: u64,
        is_included: &dyn Fn(&str) -> bool,
        record: &mut dyn FnMut(&str, u64, Redactions),
    ) -> Result<(), StoreError> {
        walk(root, &mut |entry| {
            if !entry.kind.is_file() || !is_included(&entry.name) {
                return Ok(ControlFlow::Continue(()));
            }
            let failed = |error| StoreError::at("search", &entry.path)(error);
            let size = fs_err::symlink_metadata(&entry.path).map_err(failed)?.len();
            let (size, mut found) = if let Some(left) = budget.checked_sub(size) {
                budget = left;
                self.replace(&entry.path)?
            } else {
                let mut found = Redactions::default();
                found.add_opaque("too-large");
                (size, found)
            };
            let mut in_name = Redactions::default();
            let name = self.redactor.text(&entry.name, Layers::Known, &mut in_name);
            if in_name.total() > 0 {
                found.add_opaque("file-name");
            }
            record(&name, size, found);
            Ok::<_, Failed>(ControlFlow::Continue(()))
        })
        .map_err(|error: Failed| error.0)
    }

    /// Replaces the secrets in the file at `path`, which is a regular file. A file without secrets is not written. Returns
    /// its size and the counts.
    pub fn replace(&self, path: &Path) -> Result<(u64, Redactions), StoreError> {
        let open = || open_regular(path, Links::Refused).map_err(StoreError::at("open", path));
        let read = |error| StoreError::at("search", path)(error);
        let mut file = open()?;
        let found = self.search(&mut file).map_err(read)?;
        if found.total() == 0 {
            return Ok((file.metadata().map_err(read)?.len(), found));
        }
        let mut staged = StagedFile::create(path)?;
        let found = self.copy(&mut open()?, &mut staged).map_err(read)?;
        staged.commit()?;
        let size = fs_err::metadata(path).map_err(read)?.len();
        Ok((size, found))
    }
}

/// A failed walk.
struct Failed(StoreError);

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self(StoreError::at("list", Path::new(""))(error))
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sono_redact::{Known, KnownValues};

    use super::*;

    fn redactor() -> Redactor {
        let mut known = KnownValues::default();
        known.add("password", b"Zq8-wL2mPx");
        Redactor::new(Known::Values(known))
    }

    fn replaced(content: &[u8]) -> (Vec<u8>, u64, BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs_err::write(&path, content).unwrap();
        let redactor = redactor();
        let (size, found) = FileSearch::new(&redactor, Layers::Known, "PluginResult")
            .replace(&path)
            .unwrap();
        let after = fs_err::read(&path).unwrap();
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        (after, size, found.by_rule(), found.opaque().clone())
    }

    fn counts(name: &str) -> BTreeMap<String, u64> {
        BTreeMap::from([(name.to_owned(), 1)])
    }

    #[test]
    fn file_with_a_known_value_is_replaced_and_others_stay() {
        let none = BTreeMap::new();
        assert_eq!(
            replaced(b"<a>Zq8-wL2mPx</a>"),
            (b"<a>[redacted]</a>".to_vec(), 17, counts("known"), none.clone())
        );
        let clean = b"password=Zq8-wL2mPy";
        assert_eq!(replaced(clean), (clean.to_vec(), 19, none.clone(), none.clone()));
        assert_eq!(replaced(b""), (Vec::new(), 0, none.clone(), none));
    }

    #[test]
    fn binary_files_are_searched_and_reported() {
        let binary = b"\x7fELF\0\0\0\x01";
        assert_eq!(
            replaced(binary),
            (binary.to_vec(), 8, BTreeMap::new(), counts("binary"))
        );
        assert_eq!(
            replaced(b"\x7fELF\0Zq8-wL2mPx\0"),
            (b"\x7fELF\0[redacted]\0".to_vec(), 16, counts("known"), counts("binary"))
        );
    }

    #[test]
    fn files_below_a_directory_are_searched_within_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("a/one.txt", "Zq8-wL2mPx"),
            ("a/two.txt", "clean"),
            ("b/Zq8-wL2mPx", ""),
            ("c/excluded", "Zq8-wL2mPx"),
            ("d/large", "Zq8-wL2mPx, and more than the budget"),
        ] {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        let redactor = redactor();
        let mut rows = Vec::new();
        FileSearch::new(&redactor, Layers::Known, "PluginResult")
            .replace_below(
                folder.path(),
                20,
                &|name| !name.starts_with("c/"),
                &mut |name, size, found| {
                    rows.push((name.to_owned(), size, found.by_rule(), found.opaque().clone()));
                },
            )
            .unwrap();
        let none = BTreeMap::new;
        let row = |name: &str, size, hits, opaque| (name.to_owned(), size, hits, opaque);
        assert_eq!(
            rows,
            [
                row("a/one.txt", 10, counts("known"), none()),
                row("a/two.txt", 5, none(), none()),
                row("b/[redacted]", 0, none(), counts("file-name")),
                row("d/large", 36, none(), counts("too-large")),
            ]
        );
    }

    #[test]
    fn packed_file_with_a_known_value_is_replaced_as_a_whole() {
        let packed = |text: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(text).unwrap();
            writer.finish().unwrap()
        };
        let hits = BTreeMap::from([("known".to_owned(), 1), ("structure".to_owned(), 1)]);
        assert_eq!(
            replaced(&packed(b"a Zq8-wL2mPx b")),
            (b"[redacted]".to_vec(), 10, hits, BTreeMap::new())
        );
        let clean = packed(b"a Zq8-wL2mPy b");
        let size = clean.len() as u64;
        assert_eq!(replaced(&clean), (clean, size, BTreeMap::new(), BTreeMap::new()));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs_err::write(&path, "Zq8-wL2mPx").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let redactor = redactor();
        let search = FileSearch::new(&redactor, Layers::Known, "PluginResult");
        assert!(search.replace(&link).is_err());
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "Zq8-wL2mPx");
    }
}
