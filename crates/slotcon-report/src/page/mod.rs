//! What all pages have in common: one frame, one look, nothing that is fetched.
//!
//! A page is one file. Styles, scripts and pictures lie in it, and a content security policy forbids everything else, so
//! that it reads the same from a disk, an e-mail or a server, today and in ten years.

mod media;

pub use media::{base64, image, jpeg, jpeg_uri};

/// The look of all pages.
const STYLE: &str = include_str!("style.css");

/// The first part of a page, up to the content of `<body>`. `style` is added to the common look; without `scripts` the page
/// may run none.
pub fn head(title: &str, style: &str, scripts: bool) -> String {
    let script_src = if scripts {
        "script-src 'unsafe-inline'; "
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; {script_src}\
         style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"slotcon {version}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n",
        version = env!("CARGO_PKG_VERSION"),
        title = escape(title),
    )
}

/// The last part of a page.
pub const TAIL: &str = "</body>\n</html>\n";

/// Text as HTML, inside elements and quoted attributes alike.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // No control character is allowed in HTML but these.
            c if c.is_control() && !matches!(c, '\n' | '\t') => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
    html
}

/// A value as JSON that may stand inside a `<script>` element: nothing in it ends the element.
pub fn json_in_script<T: serde::Serialize>(value: &T) -> serde_json::Result<String> {
    Ok(serde_json::to_string(value)?
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

/// A share as people read it: `12 %`, `1.2 %`, `0.03 %`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        p if !p.is_finite() => "?".into(),
        p if p >= 9.95 || p == 0.0 => format!("{p:.0} %"),
        p if p >= 0.095 => format!("{p:.1} %"),
        p if p >= 0.005 => format!("{p:.2} %"),
        _ => "< 0.01 %".into(),
    }
}

/// A figure of quality (mIoU, AP) as papers give it: `41.0 %`.
pub fn score(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1} %", 100.0 * share)
    } else {
        "?".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        let name = "<img src=x onerror='alert(1)'>&\"\u{7}";
        assert_eq!(
            escape(name),
            "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;\u{fffd}"
        );
        let json = json_in_script(&"</script><!--\u{2028}").unwrap();
        assert!(!json.contains('<') && !json.contains('\u{2028}'), "{json}");
        let back: String = serde_json::from_str(&json).unwrap();
        assert_eq!(back, "</script><!--\u{2028}");
        assert!(head(name, "", false).contains("<title>&lt;img"));
    }

    #[test]
    fn scripts_only_where_they_are_needed() {
        assert!(head("a", "", true).contains("script-src"));
        assert!(!head("a", "", false).contains("script-src"));
    }

    #[test]
    fn shares_in_words() {
        let shown = [0.0, 1.0, 0.123, 0.0123, 0.0009, 0.00123, 1e-6, f64::NAN].map(percent);
        assert_eq!(
            shown,
            [
                "0 %", "100 %", "12 %", "1.2 %", "0.09 %", "0.1 %", "< 0.01 %", "?"
            ]
        );
    }
}
