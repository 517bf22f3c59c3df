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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_branch_and_anything_else_is_refused() {
        assert_eq!(Branch::ALL.map(Branch::name), ["teacher", "student"]);
        for branch in Branch::ALL {
            assert_eq!(branch.name().parse(), Ok(branch));
        }
        let refused = "Teacher".parse::<Branch>().unwrap_err();
        assert!(
            refused.contains("'Teacher'") && refused.contains("student"),
            "{refused}"
        );
    }

    #[test]
    fn the_moving_average_is_the_key_encoder_and_the_default() {
        assert_eq!(Branch::default(), Branch::Teacher);
        assert_eq!(Branch::Teacher.encoder(), "encoder_k.");
        assert_eq!(Branch::Student.encoder(), "encoder_q.");
    }
}
