//! Which of the files below a folder are wanted.

use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::Layout;
use crate::error::{Error, Result};

/// What to take of the data that the user names.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// How the pictures are arranged.
    pub layout: Layout,
    exclude: GlobSet,
    /// Extensions of the members of tar files that are taken (`jpg`, `seg.png`); empty: see [`Selection::new`].
    members: Vec<String>,
}

impl From<Layout> for Selection {
    /// All pictures of a layout.
    fn from(layout: Layout) -> Self {
        Self {
            layout,
            ..Self::default()
        }
    }
}

impl Selection {
    /// All pictures of `layout` but those whose path below the folder (or whose name) fits one of the patterns `exclude`, as
    /// `*.seg.png` or `old/**`. Of a sample in a tar file (members of one name up to its first dot, as WebDataset has it) the
    /// pictures with an extension in `members` are taken; where that is empty, those with a simple extension, if there are
    /// some (`x.jpg`, not `x.seg.png`).
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(layout: Layout, exclude: &[String], members: &[String]) -> Result<Self> {
        let mut set = GlobSetBuilder::new();
        let wrong = |pattern: &str, e: &globset::Error| Error::Exclude {
            pattern: pattern.to_owned(),
            reason: e.kind().to_string(),
        };
        for pattern in exclude {
            set.add(Glob::new(pattern).map_err(|e| wrong(pattern, &e))?);
        }
        Ok(Self {
            layout,
            exclude: set.build().map_err(|e| wrong("", &e))?,
            members: members
                .iter()
                .map(|m| m.trim_start_matches('.').to_lowercase())
                .collect(),
        })
    }

    /// Whether the file or folder at `path` below its root is not wanted.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        self.exclude.is_match(path) || path.file_name().is_some_and(|name| self.exclude.is_match(name))
    }

    /// Extensions of members of tar files that are taken; empty: by the rule of [`Selection::new`].
    pub(super) fn members(&self) -> &[String] {
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_paths_and_names() {
        let patterns = ["*.seg.png".to_owned(), "old/**".to_owned()];
        let selection = Selection::new(Layout::Folder, &patterns, &[]).unwrap();
        for (path, out) in [
            ("a/b.seg.png", true),
            ("old/x.jpg", true),
            ("new/old.jpg", false),
            ("a.png", false),
        ] {
            assert_eq!(selection.excludes(Path::new(path)), out, "{path}");
        }
        let error = Selection::new(Layout::Folder, &["a[".to_owned()], &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("a[") && error.contains("data.exclude"), "{error}");
    }
}
