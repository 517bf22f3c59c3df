//! The gallery of prototypes.

use serde_json::json;

use crate::cdp::Browser;
use crate::{DESKTOP, HOSTILE, PHONE, Pages, open, picture, sound, text};

/// Whether the canvases in sight are drawn.
const DRAWN: &str = "(() => { const seen = [...document.querySelectorAll('#cards canvas')].filter((canvas) => { const box = \
                     canvas.getBoundingClientRect(); return box.height > 0 && box.top < innerHeight; }); \
                     return seen.length > 0 && seen.every((canvas) => canvas.width > 1); })()";
const NEIGHBOURS: &str = "document.querySelectorAll('#neighbours li').length";
const OPEN: &str = "document.getElementById('viewer').open";

fn gallery(browser: &mut Browser, pages: &Pages, fragment: &str, size: (u32, u32)) {
    open(browser, &pages.gallery, fragment, size, false);
    browser.wait_for(DRAWN);
}

/// Place of the viewer as (picture, x, y).
fn place(browser: &mut Browser) -> [u64; 3] {
    let found = browser.eval(
        "(() => { const at = new URLSearchParams(location.hash.slice(1)); return ['picture', 'x', 'y'].map((k) => +at.get(k)); })()",
    );
    [0, 1, 2].map(|i| found[i].as_u64().unwrap())
}

pub fn on_a_phone(browser: &mut Browser, pages: &Pages) {
    gallery(browser, pages, "", PHONE);
    let cards = browser
        .eval("document.querySelectorAll('#cards .group').length")
        .as_u64()
        .unwrap();
    assert!((1..=8).contains(&cards), "{cards}");
    browser.eval("document.getElementById('about').open = true");
    let read = text(browser);
    for figure in [
        "8 prototypes",
        "16 pictures looked at",
        "% of all places",
        "1 pictures could not be used",
        HOSTILE,
    ] {
        assert!(read.contains(figure), "{figure:?} is not in the page:\n{read}");
    }
    // Shares of what is shown make up the whole: all prototypes that win somewhere are shown.
    let shares = browser.eval(
        "JSON.parse(document.getElementById('index').textContent).prototypes.reduce((sum, { share }) => sum + share, 0)",
    );
    assert!((shares.as_f64().unwrap() - 1.0).abs() < 1e-9, "{shares}");
    picture(browser, "gallery-phone.png", PHONE);
}

pub fn by_mouse(browser: &mut Browser, pages: &Pages) {
    gallery(browser, pages, "", DESKTOP);
    picture(browser, "gallery-desktop.png", DESKTOP);
    assert_eq!(browser.eval(OPEN), false);
    // A quarter from the left and three quarters down in the first picture.
    let found = browser.eval(
        "(() => { const box = document.querySelector('#cards canvas').getBoundingClientRect(); \
         return [box.left + box.width / 4, box.top + 3 * box.height / 4]; })()",
    );
    browser.click(found[0].as_f64().unwrap(), found[1].as_f64().unwrap());
    browser.wait_for(OPEN);
    // 96 pixels at output stride 16 are 6 places each way.
    let [first, x, y] = place(browser);
    assert_eq!((x, y), (1, 4));
    let count = browser.eval(NEIGHBOURS).as_u64().unwrap();
    assert!((3..=12).contains(&count), "{count}");
    // They are elsewhere, and the most similar comes first.
    let values: Vec<f64> =
        browser.list("[...document.querySelectorAll('#neighbours .caption')].map((c) => +c.textContent)");
    assert!(
        values.is_sorted_by(|a, b| a >= b) && values[0] > 0.5 && values[0] <= 1.001,
        "{values:?}"
    );
    let drawn = "[...document.querySelectorAll('#neighbours canvas')].every((canvas) => canvas.width > 1)";
    browser.wait_for(drawn);
    browser.wait_for("document.getElementById('large').width > 1");
    picture(browser, "gallery-place.png", DESKTOP);

    // A neighbour opens at its own place.
    let found = browser.eval(
        "(() => { const box = document.querySelector('#neighbours canvas').getBoundingClientRect(); \
         return [box.left + 0.58 * box.width, box.top + 0.58 * box.height]; })()",
    );
    browser.click(found[0].as_f64().unwrap(), found[1].as_f64().unwrap());
    let [second, x, y] = place(browser);
    assert!(
        second != first && (x, y) == (3, 3),
        "{first} to {second} at {x}, {y}"
    );

    browser.eval("document.getElementById('close').click()");
    assert_eq!(browser.eval(OPEN), false);
    // The event that clears the address comes a moment after.
    browser.wait_for("location.hash === ''");
    for style in ["tint", "all", "none"] {
        browser.eval(&format!(
            "(() => {{ const style = document.getElementById('style'); style.value = '{style}'; \
             style.dispatchEvent(new Event('change')); }})()"
        ));
        browser.wait_for(DRAWN);
    }
    sound(browser, &pages.gallery);
}

pub fn by_keyboard(browser: &mut Browser, pages: &Pages) {
    gallery(browser, pages, "", DESKTOP);
    browser.eval("document.querySelector('#cards .tile').focus()");
    browser.key("Enter", 13, "\r");
    browser.wait_for(OPEN);
    let before = place(browser);
    // To the corner, however far it is.
    for _ in 0..6 {
        browser.key("ArrowRight", 39, "");
        browser.key("ArrowDown", 40, "");
    }
    assert_eq!(place(browser), [before[0], 5, 5]);
    browser.key("ArrowLeft", 37, "");
    assert_eq!(place(browser), [before[0], 4, 5]);
    let width = |browser: &mut Browser| {
        let width = browser.eval("document.getElementById('large').getBoundingClientRect().width");
        width.as_f64().unwrap()
    };
    let whole = width(browser);
    browser.key("+", 187, "+");
    assert_eq!(
        browser.eval("document.getElementById('zoom').textContent"),
        "150 %"
    );
    assert!((width(browser) / whole - 1.5).abs() < 0.01);
    browser.key("-", 189, "-");
    assert_eq!(
        browser.eval("document.getElementById('zoom').textContent"),
        "100 %"
    );
    browser.key("Escape", 27, "");
    browser.wait_for("!document.getElementById('viewer').open");
    sound(browser, &pages.gallery);
}

pub fn search(browser: &mut Browser, pages: &Pages) {
    gallery(browser, pages, "", DESKTOP);
    let mut shown = |words: &str| {
        let words = json!(words);
        browser.list::<String>(&format!(
            "(() => {{ const search = document.getElementById('search'); search.value = {words}; \
             search.dispatchEvent(new Event('input')); \
             return [...document.querySelectorAll('#cards .group')].filter((card) => !card.hidden).map((card) => card.id); }})()"
        ))
    };
    let all = shown("");
    let number = all[0].strip_prefix("prototype-").unwrap().to_owned();
    assert_eq!(shown(&number), all[..1]);
    assert_eq!(shown(&format!("#{number}")), all[..1]);
    assert_eq!(shown(".png"), all);
    assert!(shown("no such name").is_empty());
    assert_eq!(shown(">0%"), all);
    assert!(shown("> 100%").is_empty());
    // The largest comes first, so a size between splits the list.
    let (large, small) = (shown(">10%"), shown("<10%"));
    assert_eq!([large, small].concat(), all);
    assert_eq!(shown(""), all);
    let order = "(() => { const order = document.getElementById('order'); order.value = 'number'; \
                 order.dispatchEvent(new Event('change')); \
                 return [...document.querySelectorAll('#cards .group')].map((card) => +card.id.split('-')[1]); })()";
    let numbers: Vec<u64> = browser.list(order);
    assert!(numbers.is_sorted() && numbers.len() == all.len(), "{numbers:?}");
    let count = browser.eval("document.getElementById('count').textContent");
    assert_eq!(count, format!("{0} of {0} prototypes.", all.len()));
}

pub fn of_a_link(browser: &mut Browser, pages: &Pages) {
    gallery(browser, pages, "#picture=1&x=2&y=0", PHONE);
    browser.wait_for(OPEN);
    assert_eq!(place(browser), [1, 2, 0]);
    assert!(browser.eval(NEIGHBOURS).as_u64().unwrap() >= 3);
    assert!(text(browser).contains("Place 3 of 6 across, 1 of 6 down: prototype"));
    browser.wait_for("document.getElementById('large').width > 1");
    picture(browser, "gallery-phone-place.png", PHONE);
    // A link to nothing is no error.
    for fragment in ["#picture=999&x=1&y=1", "#picture=0&x=-5&y=many", "#rubbish"] {
        open(browser, &pages.gallery, fragment, PHONE, false);
    }
}
