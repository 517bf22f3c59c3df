//! The pages that users get, in a real browser: they render without a script error and without a network, fit a phone, are
//! not blank, and do what they promise. Pictures of them are left in the target folder, to be looked at.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod cdp;
#[path = "../common/mod.rs"]
mod common;
mod gallery;
mod naming;
mod report;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use cdp::Browser;
use common::{Place, slotcon, succeed};
use libtest_mimic::{Arguments, Trial};

/// A phone, in CSS pixels.
const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 900);
/// A picture that cannot be used, named so that it would do harm in a careless page.
const HOSTILE: &str = "<img src=x onerror=alert(1)>.jpg";

fn main() -> ExitCode {
    let args = Arguments::from_args();
    // Removed at the end, when the last test has let go of it.
    let pages = Arc::new(OnceLock::new());
    let trials = match cdp::find() {
        None => {
            eprintln!(
                "!!! NO BROWSER: set SLOTCON_BROWSER, install chromium, or run `cargo xtask test --browser`, which brings \
                 one. The pages are NOT tested."
            );
            vec![Trial::test("pages (no browser)", || Ok(())).with_ignored_flag(true)]
        }
        Some(program) => [
            (
                "report_on_a_phone",
                report::on_a_phone as fn(&mut Browser, &Pages),
            ),
            ("report_in_the_dark", report::in_the_dark),
            ("gallery_on_a_phone", gallery::on_a_phone),
            ("gallery_by_mouse", gallery::by_mouse),
            ("gallery_by_keyboard", gallery::by_keyboard),
            ("gallery_search", gallery::search),
            ("gallery_of_a_link", gallery::of_a_link),
            ("naming_by_mouse", naming::by_mouse),
            ("naming_by_keyboard", naming::by_keyboard),
            ("naming_of_a_file", naming::of_a_file),
            ("naming_on_a_phone", naming::on_a_phone),
            ("naming_without_scripts", naming::without_scripts),
        ]
        .into_iter()
        .map(|(name, test)| {
            let (program, pages) = (program.clone(), Arc::clone(&pages));
            Trial::test(name, move || {
                test(&mut Browser::start(&program), pages.get_or_init(Pages::make));
                Ok(())
            })
        })
        .collect(),
    };
    libtest_mimic::run(&args, trials).exit_code()
}

/// A small run, its report and the gallery of its checkpoint; made once.
struct Pages {
    report: PathBuf,
    gallery: PathBuf,
    place: Place,
}

impl Pages {
    fn make() -> Self {
        let place = Place::new(16);
        std::fs::write(place.pictures().join(HOSTILE), "no picture").unwrap();
        // Small steps: what the prototypes drew at random stays different.
        let settings = [
            "--steps",
            "12",
            "--set",
            "data.max_bad=0.9",
            "--set",
            "optim.base_lr=0.2",
        ];
        succeed(&mut place.pretrain("run", &settings));
        let gallery = place.path("gallery.html");
        let mut slots = slotcon();
        slots
            .arg("slots")
            .args(["--device", "cpu", "--side", "96", "--top", "4"]);
        slots
            .arg("--checkpoint")
            .arg(place.path("run/checkpoints/last.safetensors"));
        slots
            .arg("--data")
            .arg(place.pictures())
            .arg("--out")
            .arg(&gallery);
        // One picture is bad: the page is there, and the exit status tells.
        let output = slots.output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self {
            report: place.path("run/report.html"),
            gallery,
            place,
        }
    }
}

/// Opens a page and checks what holds for all of them.
fn open(browser: &mut Browser, page: &Path, fragment: &str, (width, height): (u32, u32), dark: bool) {
    browser.window(width, height, dark);
    browser.open(page, fragment);
    sound(browser, page);
    // Pictures out of sight are decoded only when they come into it.
    browser.wait_for(
        "[...document.images].every((image) => image.loading === 'lazy' || image.naturalWidth > 0)",
    );
    let across = browser.eval("document.documentElement.scrollWidth");
    assert_eq!(across, width, "the page is wider than the window");
}

/// No complaint, and nothing asked for but the page itself.
fn sound(browser: &mut Browser, page: &Path) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let asked = browser.requests();
    let own = format!("file://{}", page.display());
    assert!(
        !asked.is_empty()
            && asked
                .iter()
                .all(|url| url.split('#').next() == Some(own.as_str())),
        "{asked:?}"
    );
}

/// Takes a picture, keeps it as `name`, and checks its size and that it shows something.
fn picture(browser: &mut Browser, name: &str, (width, height): (u32, u32)) {
    let bytes = browser.screenshot();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, &bytes).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (width, height), "{}", path.display());
    let channels = info.color_type.samples();
    let colours: HashSet<&[u8]> = pixels.chunks_exact(channels).collect();
    assert!(
        colours.len() > 200,
        "{} shows {} colours only",
        path.display(),
        colours.len()
    );
    eprintln!("picture: {}", path.display());
}

/// All that can be read in the page.
fn text(browser: &mut Browser) -> String {
    browser
        .eval("document.body.innerText")
        .as_str()
        .unwrap()
        .to_owned()
}
