//! The report of a run.

use serde_json::json;

use crate::cdp::Browser;
use crate::{DESKTOP, HOSTILE, PHONE, Pages, open, picture, sound, text};

pub fn on_a_phone(browser: &mut Browser, pages: &Pages) {
    let page = &pages.report;
    open(browser, page, "", PHONE, false);
    let read = text(browser);
    for figure in [
        "Run run",
        "resnet18, 8 prototypes",
        "batch 4",
        "17 pictures",
        "12 steps, finished",
        "of 8 prototypes win somewhere in a batch",
        "0 of 12 steps skipped",
        "2 ln K = 4.159",
        "times a picture was replaced",
        "libtorch",
        "2.11.0",
        HOSTILE,
    ] {
        assert!(read.contains(figure), "{figure:?} is not in the page:\n{read}");
    }
    // Loss, two parts, five of health, learning rate, momentum, speed; the loss scale of f32 says nothing.
    assert_eq!(
        browser.eval("document.querySelectorAll('.curves svg').length"),
        11
    );
    let drawn = "[...document.querySelectorAll('.curves .line')].every((line) => line.getTotalLength() > 20)";
    assert_eq!(browser.eval(drawn), true);
    assert_eq!(browser.eval("document.scripts.length"), 0);
    picture(browser, "report-phone.png", PHONE);

    for part in ["segments", "prototypes", "curves", "trouble"] {
        browser.eval(&format!("document.getElementById('{part}').scrollIntoView()"));
        let whole = format!(
            "[...document.querySelectorAll('#{part} img')].filter((image) => image.getBoundingClientRect().top < innerHeight)\
             .every((image) => image.naturalWidth > 0 && image.complete)"
        );
        browser.wait_for(&whole);
        if part != "trouble" {
            picture(browser, &format!("report-phone-{part}.png"), PHONE);
        }
    }
    assert!(
        browser
            .eval("document.querySelectorAll('#segments img').length")
            .as_u64()
            .unwrap()
            >= 8
    );
    assert!(
        browser
            .eval("document.querySelectorAll('#prototypes img').length")
            .as_u64()
            .unwrap()
            >= 2
    );
    sound(browser, page);
}

pub fn in_the_dark(browser: &mut Browser, pages: &Pages) {
    open(browser, &pages.report, "", DESKTOP, true);
    let brightness = "(() => { const [ground, ink] = ['backgroundColor', 'color'].map((key) => getComputedStyle(document.body)\
                      [key].match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0)); return [ground, ink]; })()";
    let found = browser.eval(brightness);
    let (ground, ink) = (found[0].as_u64().unwrap(), found[1].as_u64().unwrap());
    assert!(ground < 150 && ink > 550, "ground {ground}, ink {ink}");
    // Links at the top lead to the parts.
    let lost = browser.eval(
        "[...document.querySelectorAll('nav a')].filter((a) => !document.querySelector(a.getAttribute('href'))).length",
    );
    assert_eq!(lost, json!(0));
    picture(browser, "report-desktop-dark.png", DESKTOP);
}
