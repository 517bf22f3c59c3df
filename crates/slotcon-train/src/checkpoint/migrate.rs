//! Headers of older formats, brought up to date one version at a time.

use serde_json::{Map, Value, json};

use super::FORMAT_VERSION;

type Fields = Map<String, Value>;
/// Makes the fields of one version those of the next.
type Step = fn(&mut Fields) -> Result<(), String>;

/// Entry i makes version i + 2 of version i + 1. Never change one that was released: add another.
const STEPS: [Step; FORMAT_VERSION as usize - 1] = [two];

/// Makes a header of version `from` one of today's.
///
/// # Errors
/// A version that never was, or a header that is none of its version.
pub(super) fn migrate(header: &mut Value, from: u32) -> Result<(), String> {
    if from == 0 {
        return Err("there never was a format 0".into());
    }
    let fields = header.as_object_mut().ok_or("its metadata is no JSON object")?;
    for step in STEPS.iter().skip(from as usize - 1) {
        step(fields)?;
    }
    Ok(())
}

/// Version 2 says which program wrote the file and names the two parts of the loss scale.
fn two(fields: &mut Fields) -> Result<(), String> {
    fields.insert("written_by".into(), json!(""));
    let scale = fields
        .get_mut("progress")
        .and_then(|progress| progress.get_mut("loss_scale"))
        .ok_or("a header of format 1 has progress.loss_scale, this one has not")?;
    let named = match scale.as_array().map(Vec::as_slice) {
        Some([value, good_steps]) => json!({"value": value, "good_steps": good_steps}),
        _ => {
            return Err(format!(
                "progress.loss_scale is {scale}, format 1 has two numbers there"
            ));
        }
    };
    *scale = named;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end in a panic")]
mod tests {
    use super::super::{Header, LossScaleState};
    use super::*;

    /// What the program of format 1 wrote.
    const ONE: &str = include_str!("format-1.json");

    #[test]
    fn format_1_is_read() {
        let mut header = serde_json::from_str(ONE).unwrap();
        migrate(&mut header, 1).unwrap();
        let header: Header = serde_json::from_value(header).unwrap();
        assert_eq!((header.progress.step, header.progress.pictures), (1, 101));
        let scale = LossScaleState {
            value: 32768.0,
            good_steps: 0,
        };
        assert_eq!(header.progress.loss_scale, scale);
        assert!(header.recipe.contains("prototypes = 8"), "{}", header.recipe);
        assert_eq!(header.task, "pretrain");
    }

    #[test]
    fn what_only_claims_to_be_old_is_refused() {
        let refuse =
            |text: &str, version| migrate(&mut serde_json::from_str(text).unwrap(), version).unwrap_err();
        assert!(refuse("[]", 1).contains("no JSON object"));
        assert!(refuse("{}", 0).contains("format 0"));
        assert!(refuse(r#"{"progress": {}}"#, 1).contains("loss_scale"));
        assert!(refuse(r#"{"progress": {"loss_scale": [1]}}"#, 1).contains("[1]"));
    }

    #[test]
    fn a_header_of_today_is_left_alone() {
        let mut header = json!({"format_version": FORMAT_VERSION});
        migrate(&mut header, FORMAT_VERSION).unwrap();
        assert_eq!(header, json!({"format_version": FORMAT_VERSION}));
    }
}
