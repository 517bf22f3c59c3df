//! What the checks of recipes are made of.

use super::RecipeError;

/// An error of `key`, which has `value`, for `reason`.
pub fn wrong(key: &str, value: impl std::fmt::Display, reason: impl Into<String>) -> RecipeError {
    RecipeError::Value {
        key: key.into(),
        value: value.to_string(),
        reason: reason.into(),
    }
}

/// Refuses `value` of `key` for `reason` unless it is `good`.
///
/// # Errors
/// See [`wrong`].
pub fn require(
    good: bool,
    key: &str,
    value: impl std::fmt::Display,
    reason: impl Into<String>,
) -> Result<(), RecipeError> {
    if good {
        Ok(())
    } else {
        Err(wrong(key, value, reason))
    }
}

/// Requires a number from 0 to 1.
///
/// # Errors
/// See [`wrong`].
pub fn fraction(key: &str, value: f64) -> Result<(), RecipeError> {
    require((0.0..=1.0).contains(&value), key, value, "must be from 0 to 1")
}

/// Requires a finite number above 0.
///
/// # Errors
/// See [`wrong`].
pub fn positive(key: &str, value: f64) -> Result<(), RecipeError> {
    require(value > 0.0 && value.is_finite(), key, value, "must be above 0")
}

/// Requires a finite number that is not negative.
///
/// # Errors
/// See [`wrong`].
pub fn not_negative(key: &str, value: f64) -> Result<(), RecipeError> {
    require(
        value >= 0.0 && value.is_finite(),
        key,
        value,
        "must be at least 0",
    )
}
