//! Giving names to the groups on the gallery page.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cdp::Browser;
use crate::common::{slotcon, succeed};
use crate::{DESKTOP, PHONE, Pages, open, picture, sound, text};

const CTRL: u32 = 2;
const SHIFT: u32 = 8;
/// Whether the page wants to be asked about before it is left.
const LEAVING: &str = "(() => { const leaving = new Event('beforeunload', { cancelable: true }); \
                       window.dispatchEvent(leaving); return leaving.defaultPrevented; })()";

/// Opens the gallery; gives the numbers of its prototypes in the order of their cards.
fn gallery(browser: &mut Browser, pages: &Pages, size: (u32, u32)) -> Vec<u64> {
    open(browser, &pages.gallery, "", size, false);
    let numbers: Vec<u64> =
        browser.list("[...document.querySelectorAll('#cards .group')].map((card) => +card.id.split('-')[1])");
    assert!(numbers.len() >= 3, "{numbers:?}");
    numbers
}

/// Clicks the middle of what `selector` finds.
fn click(browser: &mut Browser, selector: &str) {
    let selector = json!(selector);
    let found = browser.eval(&format!(
        "(() => {{ const found = document.querySelector({selector}); found.scrollIntoView({{ block: 'center' }}); \
         const box = found.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }})()"
    ));
    browser.click(found[0].as_f64().unwrap(), found[1].as_f64().unwrap());
}

fn on_card(number: u64, what: &str) -> String {
    format!("#prototype-{number} {what}")
}

/// The name in the field of a card.
fn name(browser: &mut Browser, number: u64) -> String {
    let field = on_card(number, ".name");
    let value = browser.eval(&format!("document.querySelector('{field}').value"));
    value.as_str().unwrap().to_owned()
}

/// What the buttons of the groups say: name, number of prototypes, share.
fn groups(browser: &mut Browser) -> Vec<String> {
    browser.list("[...document.querySelectorAll('#groups button')].map((button) => button.textContent)")
}

/// Saves the names; gives the file.
fn save(browser: &mut Browser, folder: &Path) -> (PathBuf, Value) {
    let file = folder.join("names.json");
    // A second one would be called otherwise.
    let _ = std::fs::remove_file(&file);
    browser.save_into(folder);
    click(browser, "#save");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        // While it is written it has another name, or is not whole.
        let read = std::fs::read(&file).unwrap_or_default();
        if let Ok(value) = serde_json::from_slice(&read) {
            return (file, value);
        }
        assert!(Instant::now() < deadline, "{} was never saved", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn by_mouse(browser: &mut Browser, pages: &Pages) {
    let numbers = gallery(browser, pages, DESKTOP);
    let [a, b, c] = [numbers[0], numbers[1], numbers[2]];
    assert!(text(browser).contains("No prototype has a name yet."));
    // The same name for two, typed in another case.
    click(browser, &on_card(a, ".name"));
    browser.write("Road");
    click(browser, &on_card(b, ".name"));
    browser.write(" road");
    click(browser, &on_card(c, ".ground"));
    assert_eq!(
        [a, b, c].map(|k| name(browser, k)),
        ["Road", "Road", "background"]
    );
    let found = groups(browser);
    assert!(
        found.len() == 2 && found[0].starts_with("background · 1 · ") && found[1].starts_with("Road · 2 · "),
        "{found:?}"
    );
    assert!(text(browser).contains("3 prototypes under 2 names") && text(browser).contains("Not saved."));
    // Joined prototypes have one colour.
    let colours = [a, b, c].map(|k| {
        let swatch = on_card(k, ".swatch");
        browser.eval(&format!("document.querySelector('{swatch}').style.background"))
    });
    assert!(
        colours[0] == colours[1] && colours[0] != colours[2],
        "{colours:?}"
    );

    // Several selected ones under one name; then the whole group under another.
    for k in [b, c] {
        click(browser, &on_card(k, ".pick"));
    }
    assert!(text(browser).contains("2 selected"));
    click(browser, "#shared");
    browser.write("car");
    click(browser, "#together [type=submit]");
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["Road", "car", "car"]);
    assert_eq!(browser.eval("document.getElementById('together').hidden"), true);
    click(browser, "#groups li:first-child button");
    assert!(text(browser).contains("2 selected"));
    click(browser, "#all-ground");
    assert_eq!(
        [a, b, c].map(|k| name(browser, k)),
        ["Road", "background", "background"]
    );

    // Back, and forth again.
    for expected in [
        ["Road", "car", "car"],
        ["Road", "Road", "background"],
        ["Road", "Road", ""],
    ] {
        click(browser, "#undo");
        assert_eq!([a, b, c].map(|k| name(browser, k)), expected);
    }
    click(browser, "#redo");
    assert_eq!(name(browser, c), "background");
    picture(browser, "gallery-names.png", DESKTOP);

    // What is saved is what `slotcon` takes; until then the browser asks before it leaves the page.
    assert_eq!(browser.eval(LEAVING), true);
    let folder = tempfile::tempdir().unwrap();
    let (file, saved) = save(browser, folder.path());
    assert_eq!(
        (&saved["version"], &saved["prototypes"], &saved["background"]),
        (&json!(1), &json!(8), &json!([c]))
    );
    assert_eq!(
        saved["names"],
        json!({a.to_string(): "Road", b.to_string(): "Road"})
    );
    assert!(!text(browser).contains("Not saved."));
    assert_eq!(browser.eval(LEAVING), false);
    let mut segment = slotcon();
    segment.args(["segment", "--device", "cpu", "--side", "64", "--checkpoint"]);
    segment
        .arg(pages.place.path("run/checkpoints/last.safetensors"))
        .arg("--names")
        .arg(file);
    segment.arg("--dataset").arg(folder.path().join("set"));
    succeed(segment.arg(pages.place.pictures().join("000000.png")));
    let classes = std::fs::read(folder.path().join("set/classes.json")).unwrap();
    let classes: Value = serde_json::from_slice(&classes).unwrap();
    assert_eq!(classes["classes"], json!(["background", "Road"]));

    // Names are searched for, too.
    let mut shown = |word: &str| {
        browser.eval(&format!(
            "(() => {{ const search = document.getElementById('search'); search.value = '{word}'; \
             search.dispatchEvent(new Event('input')); \
             return [...document.querySelectorAll('#cards .group')].filter((card) => !card.hidden).map((card) => +card.id.split('-')[1]); }})()"
        ))
    };
    assert_eq!(shown("road"), json!([a, b]));
    assert_eq!(shown("?"), json!(numbers[3..]));
    let asked = browser.requests();
    assert!(
        asked
            .iter()
            .all(|url| url.starts_with("file:") || url.starts_with("blob:")),
        "{asked:?}"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

pub fn by_keyboard(browser: &mut Browser, pages: &Pages) {
    let numbers = gallery(browser, pages, DESKTOP);
    let [a, b, c] = [numbers[0], numbers[1], numbers[2]];
    let focused = |browser: &mut Browser| {
        let found = browser.eval(
            "((at) => `${at.closest('.group')?.id ?? ''} ${at.id || at.className || at.type}`)(document.activeElement)",
        );
        found.as_str().unwrap().trim().to_owned()
    };
    let tab = |browser: &mut Browser| browser.key("Tab", 9, "");
    // From the controls on to the first card: select, name, background, then its pictures.
    browser.eval("document.getElementById('style').focus()");
    for part in ["checkbox", "name", "ground", "tile"] {
        tab(browser);
        assert_eq!(focused(browser), format!("prototype-{a} {part}"));
    }
    // Names one after the other.
    browser.eval(&format!(
        "document.querySelector('{}').focus()",
        on_card(a, ".name")
    ));
    for word in ["sky", "tree", "sky"] {
        browser.write(word);
        browser.key("Enter", 13, "\r");
    }
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["sky", "tree", "sky"]);
    if let Some(next) = numbers.get(3) {
        assert_eq!(focused(browser), format!("prototype-{next} name"));
    }
    // A field that is left by Esc keeps its name.
    browser.eval(&format!(
        "document.querySelector('{}').focus()",
        on_card(b, ".name")
    ));
    browser.write("nonsense");
    browser.key("Escape", 27, "");
    assert_eq!(name(browser, b), "tree");

    let undo = |browser: &mut Browser, modifiers| browser.key_with(modifiers, "z", 90, "");
    undo(browser, CTRL);
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["sky", "tree", ""]);
    undo(browser, CTRL);
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["sky", "", ""]);
    undo(browser, CTRL | SHIFT);
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["sky", "tree", ""]);
    browser.key_with(CTRL, "y", 89, "");
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["sky", "tree", "sky"]);

    // Select two by the space bar, and join them.
    for k in [a, b] {
        browser.eval(&format!(
            "document.querySelector('{}').focus()",
            on_card(k, ".pick input")
        ));
        browser.key(" ", 32, " ");
    }
    browser.eval("document.getElementById('shared').focus()");
    browser.write("far");
    browser.key("Enter", 13, "\r");
    assert_eq!([a, b, c].map(|k| name(browser, k)), ["far", "far", "sky"]);
    // The switch of a card, by the space bar.
    browser.eval(&format!(
        "document.querySelector('{}').focus()",
        on_card(c, ".ground")
    ));
    browser.key(" ", 32, " ");
    assert_eq!(name(browser, c), "background");
    browser.key(" ", 32, " ");
    assert_eq!(name(browser, c), "");
    sound(browser, &pages.gallery);
}

pub fn of_a_file(browser: &mut Browser, pages: &Pages) {
    let numbers = gallery(browser, pages, DESKTOP);
    let [a, b] = [numbers[0], numbers[1]];
    let own = browser.eval("JSON.parse(document.getElementById('names').textContent)");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.json");
    let load = |browser: &mut Browser, file: &Value| {
        std::fs::write(&path, file.to_string()).unwrap();
        browser.choose_file("#load", &path);
        browser.wait_for("document.getElementById('load').value === ''");
        browser
            .eval("document.getElementById('trouble').textContent")
            .as_str()
            .unwrap()
            .to_owned()
    };
    let mut file = own.clone();
    file["names"] = json!({a.to_string(): "<b>sea</b>", b.to_string(): "sand"});
    assert_eq!(load(browser, &file), "");
    assert_eq!([a, b].map(|k| name(browser, k)), ["<b>sea</b>", "sand"]);
    // A name is text, whatever it says.
    assert!(
        groups(browser)
            .iter()
            .any(|group| group.starts_with("<b>sea</b> · 1"))
    );
    assert_eq!(browser.eval("document.querySelectorAll('#naming b').length"), 0);

    // What is wrong is said, and nothing of it taken.
    for (key, value, said) in [
        ("version", json!(2), "version 2"),
        ("prototypes", json!(24), "24 prototypes; this one has 8"),
        ("names", json!({"8": "x"}), "prototype 8, but there are 8"),
        ("names", json!({"0": " "}), "prototype 0 the name"),
        ("background", json!([a]), "one of the two"),
    ] {
        let mut wrong = file.clone();
        wrong[key] = value;
        let text = load(browser, &wrong);
        assert!(text.contains("old.json") && text.contains(said), "{key}: {text}");
        assert_eq!([a, b].map(|k| name(browser, k)), ["<b>sea</b>", "sand"]);
    }
    let text = load(browser, &json!([]));
    assert!(text.contains("is no file of names"), "{text}");

    // Names of another checkpoint are taken, with a word; what is saved is of this one.
    file["checkpoint"] = json!("00c0ffee");
    file["names"] = json!({b.to_string(): "dune"});
    let text = load(browser, &file);
    assert!(
        text.contains("another checkpoint") && text.contains("00c0ffee"),
        "{text}"
    );
    assert_eq!([a, b].map(|k| name(browser, k)), ["", "dune"]);
    let (_, saved) = save(browser, folder.path());
    assert_eq!(
        (&saved["checkpoint"], &saved["names"]),
        (&own["checkpoint"], &json!({b.to_string(): "dune"}))
    );
    // Taken back like anything else.
    click(browser, "#undo");
    assert_eq!([a, b].map(|k| name(browser, k)), ["<b>sea</b>", "sand"]);
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // A page that begins with names shows them.
    std::fs::write(&path, saved.to_string()).unwrap();
    let page = folder.path().join("named.html");
    let mut slots = slotcon();
    slots.args([
        "slots",
        "--device",
        "cpu",
        "--side",
        "96",
        "--top",
        "2",
        "--checkpoint",
    ]);
    slots
        .arg(pages.place.path("run/checkpoints/last.safetensors"))
        .arg("--names")
        .arg(&path);
    slots
        .arg("--data")
        .arg(pages.place.path("scenes/images/val"))
        .arg("--out")
        .arg(&page);
    succeed(slots.args(["--prototypes", &format!("{b}")]));
    // Nothing is unsaved then, or the browser would ask before it leaves.
    click(browser, "#redo");
    open(browser, &page, "", DESKTOP, false);
    assert_eq!(name(browser, b), "dune");
    assert!(text_of(browser, "named").contains("1 prototype under 1 name"));
}

fn text_of(browser: &mut Browser, id: &str) -> String {
    let found = browser.eval(&format!("document.getElementById('{id}').textContent"));
    found.as_str().unwrap().to_owned()
}

pub fn on_a_phone(browser: &mut Browser, pages: &Pages) {
    let numbers = gallery(browser, pages, PHONE);
    for (k, word) in [
        (numbers[0], "a very long name for a group of many things"),
        (numbers[1], "b"),
    ] {
        click(browser, &on_card(k, ".name"));
        browser.write(word);
    }
    click(browser, &on_card(numbers[2], ".pick"));
    assert!(text(browser).contains("1 selected"));
    // All that is touched is large enough for a finger, and nothing is wider than the window.
    let small = browser.eval(
        "[...document.querySelectorAll('.naming button, .naming .name, .pick, #naming button, #naming .button, #shared')] \
         .map((found) => [found.id || found.className, found.getBoundingClientRect()]) \
         .filter(([, box]) => box.height < 44 || box.width < 44).map(([what, box]) => `${what} ${box.width} ${box.height}`)",
    );
    assert_eq!(small, json!([]));
    let across = browser.eval("document.documentElement.scrollWidth");
    assert_eq!(across, PHONE.0);
    // The bar leaves most of the window to the pictures.
    let bar = browser
        .eval("document.getElementById('naming').getBoundingClientRect().height")
        .as_f64()
        .unwrap();
    assert!(bar < f64::from(PHONE.1) / 3.0, "{bar}");
    picture(browser, "gallery-phone-names.png", PHONE);
    sound(browser, &pages.gallery);
}

pub fn without_scripts(browser: &mut Browser, pages: &Pages) {
    browser.without_scripts();
    open(browser, &pages.gallery, "", PHONE, false);
    let read = text(browser);
    for shown in [
        "turned off here",
        "8 prototypes",
        "Best pictures",
        "000000.png",
        "22 %",
    ] {
        assert!(read.contains(shown), "{shown:?} is not in the page:\n{read}");
    }
    // Nobody is offered to name what cannot be saved.
    assert_eq!(browser.eval("document.getElementById('naming').hidden"), true);
    sound(browser, &pages.gallery);
}
