//! Teacher or student: which of the two networks of the same architecture.

/// One of the two networks that are trained together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Branch {
    /// The moving average k of the student: the default for everything downstream.
    #[default]
    Teacher,
    /// The network q that is trained by gradient.
    Student,
}

impl Branch {
    /// Both branches.
    pub const ALL: [Self; 2] = [Self::Teacher, Self::Student];

    /// The name of the branch in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Student => "student",
        }
    }

    /// The prefix of its backbone's tensors in the official state dict.
    pub(crate) fn encoder(self) -> &'static str {
        match self {
            Self::Teacher => "encoder_k.",
            Self::Student => "encoder_q.",
        }
    }
}

impl std::str::FromStr for Branch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|branch| branch.name() == text);
        found.ok_or_else(|| format!("'{text}' is no network of a run; there are teacher and student"))
    }
}
