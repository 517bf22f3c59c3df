//! The two networks that a run trains.

/// Student or teacher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Branch {
    /// The moving average: the default for everything downstream.
    #[default]
    Teacher,
    /// The network trained by gradient.
    Student,
}

impl Branch {
    /// Its name, as options give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Student => "student",
        }
    }

    /// What the names of its backbone's tensors begin with.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::Teacher => "encoder_k.",
            Self::Student => "encoder_q.",
        }
    }
}

/// For `--which`.
impl std::str::FromStr for Branch {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [Self::Teacher, Self::Student];
        let found = known.into_iter().find(|branch| branch.name() == name);
        found.ok_or_else(|| format!("'{name}' is neither teacher nor student"))
    }
}
