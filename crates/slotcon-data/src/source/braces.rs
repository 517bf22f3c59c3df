//! Many names by one pattern, as a shell would: `train-{000..127}.tar`, `{a,b}.tar`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// No pattern in earnest names more files.
const MOST: usize = 1_000_000;

/// All names that the pattern stands for, in its order.
pub(super) fn expand(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_string_lossy();
    let bad = || Error::Pattern {
        pattern: text.clone().into_owned(),
    };
    let mut names = vec![String::new()];
    let mut rest: &str = &text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or_else(bad)? + open;
        let choices = choices(&rest[open + 1..close]).ok_or_else(bad)?;
        if names.len().saturating_mul(choices.len()) > MOST {
            return Err(bad());
        }
        names = names
            .iter()
            .flat_map(|name| choices.iter().map(move |c| format!("{name}{}{c}", &rest[..open])))
            .collect();
        rest = &rest[close + 1..];
    }
    Ok(names.into_iter().map(|name| PathBuf::from(name + rest)).collect())
}

/// What stands between two braces.
fn choices(inner: &str) -> Option<Vec<String>> {
    let Some((from, to)) = inner.split_once("..") else {
        let all: Vec<String> = inner.split(',').map(String::from).collect();
        return (all.len() > 1 && !inner.contains('{')).then_some(all);
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(from) || !digits(to) {
        return None;
    }
    let (first, last): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
    // Zeros in front of either end mean that all numbers are as long.
    let padded = (from.starts_with('0') && from.len() > 1) || (to.starts_with('0') && to.len() > 1);
    let width = if padded { from.len().max(to.len()) } else { 0 };
    if first > last || last - first >= MOST {
        return None;
    }
    Some((first..=last).map(|n| format!("{n:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let names = expand(Path::new(pattern)).unwrap();
        names
            .into_iter()
            .map(|p| p.to_str().unwrap().to_string())
            .collect()
    }

    #[test]
    fn patterns_expand_as_in_a_shell() {
        assert_eq!(
            names("a-{008..011}.tar"),
            ["a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"]
        );
        assert_eq!(names("{8..10}"), ["8", "9", "10"]);
        assert_eq!(
            names("{x,y}-{1..2}.tar"),
            ["x-1.tar", "x-2.tar", "y-1.tar", "y-2.tar"]
        );
        assert_eq!(names("d/{0..0}/t"), ["d/0/t"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "a{",
            "a{}",
            "a{1}",
            "{3..1}",
            "{a..b}",
            "{0..99999999}",
            "{1..}",
            "{a,{b,c}}",
        ] {
            let error = expand(Path::new(pattern)).unwrap_err().to_string();
            assert!(error.contains(pattern), "{error}");
        }
    }
}
