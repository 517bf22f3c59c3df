//! Names that a person gave to the groups, held against the classes of label maps.

use std::path::{Path, PathBuf};

use anyhow::bail;
use slotcon_eval::names::{BACKGROUND, same_name};
use slotcon_eval::{NamedGroups, Names, Segmenter};
use slotcon_metrics::Assignment;

/// A file of names.
#[derive(Debug)]
pub(super) struct Naming {
    path: PathBuf,
    groups: NamedGroups,
}

impl Naming {
    /// Reads the names of `segmenter`'s prototypes.
    ///
    /// # Errors
    /// A file that cannot be used or names the groups of another checkpoint.
    pub(super) fn open(path: &Path, segmenter: &Segmenter) -> anyhow::Result<Self> {
        let names = Names::open_for(path, segmenter)?;
        Ok(Self {
            path: path.into(),
            groups: NamedGroups::of(&names, path)?,
        })
    }

    /// The class of every prototype: the one of `classes` with its name. Names that are no class, and classes that nobody named, are told.
    ///
    /// # Errors
    /// Names of which none is a class.
    pub(super) fn classes(&self, classes: &[String]) -> anyhow::Result<Assignment> {
        let class = |name: &str| classes.iter().position(|class| same_name(class, name));
        let names = &self.groups.classes;
        if names.iter().all(|name| class(name).is_none()) {
            bail!(
                "{}: none of its names is a class of the labels: {}; the classes are {}",
                self.path.display(),
                names.join(", "),
                classes.join(", ")
            );
        }
        // Background is meant to be no class.
        let strange = |name: &&str| class(name).is_none() && !same_name(name, BACKGROUND);
        let strangers = Vec::from_iter(names.iter().map(String::as_str).filter(strange));
        if !strangers.is_empty() {
            eprintln!(
                "warning: {}: no class has these names, their places count as wrong: {}",
                self.path.display(),
                strangers.join(", ")
            );
        }
        let nobody = |class: &&str| !names.iter().any(|name| same_name(name, class));
        let missing = Vec::from_iter(classes.iter().map(String::as_str).filter(nobody));
        if !missing.is_empty() {
            eprintln!(
                "{}: no group has the name of these classes: {}",
                self.path.display(),
                missing.join(", ")
            );
        }
        let of = |group: &Option<u16>| group.and_then(|group| class(&names[usize::from(group)]));
        Ok(Assignment::given(self.groups.class_of.iter().map(of).collect()))
    }

    /// How clusters came to classes.
    pub(super) fn protocol(&self) -> String {
        let named = self.groups.class_of.iter().flatten().count();
        format!(
            "every cluster as the class of the name that a person gave it ({}: {named} of {} prototypes have one)",
            self.path.display(),
            self.groups.class_of.len()
        )
    }
}
