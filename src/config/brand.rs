//! Name, logo and accent colour of the pages.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::types::policy::MAX_FETCH;

/// The operator's name, logo and colour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brand {
    /// The name in the header and title of every page.
    pub name: String,
    /// The logo, served from this origin.
    pub logo: Option<PathBuf>,
    /// The accent colour.
    pub accent: Option<Colour>,
}

/// An sRGB colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colour([u8; 3]);

impl Brand {
    /// The stylesheet that puts the accent over the default; absent without one. The dark scheme gets the same hue,
    /// lightened until it can be read there.
    #[must_use]
    pub fn sheet(&self) -> Option<String> {
        let light = self.accent?;
        let dark = light.lightened_on(DARK_SURFACE);
        let rules = |accent: Colour, ground: Colour, part: u32| {
            format!(
                "--accent: {}; --accent-ink: {}; --accent-wash: {};",
                accent.hex(),
                accent.ink().hex(),
                accent.mixed(ground, part).hex()
            )
        };
        Some(format!(
            ":root {{ {} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {} }} }}\n",
            rules(light, WHITE, 8),
            rules(dark, DARK_SURFACE, 14)
        ))
    }

    /// The logo's bytes and media type; absent without one.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub fn logo(&self) -> Result<Option<(Vec<u8>, &'static str)>, String> {
        self.logo.as_deref().map(read_logo).transpose()
    }
}

/// The ground that the accent stands on in the light scheme.
const WHITE: Colour = Colour([0xff; 3]);
/// The ground that the accent stands on in the dark scheme.
const DARK_SURFACE: Colour = Colour([0x1c, 0x1b, 0x19]);
/// Text on a light accent.
const BLACK: Colour = Colour([0x11; 3]);
/// The least contrast of text (WCAG 2.2 §1.4.3).
const AA: f64 = 4.5;

impl Colour {
    /// Reads `#rrggbb` or `#rgb`, and judges whether it can be read as text on white.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse_accent(text: &str) -> Result<Self, String> {
        let complain = || format!("expected a colour like #2d4ea8, found {text:?}");
        let digits: Vec<u8> = text
            .strip_prefix('#')
            .ok_or_else(complain)?
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(complain)?;
        let colour = match *digits.as_slice() {
            [r, g, b] => Self([r * 17, g * 17, b * 17]),
            [r, rr, g, gg, b, bb] => Self([r * 16 + rr, g * 16 + gg, b * 16 + bb]),
            _ => return Err(complain()),
        };
        let contrast = colour.contrast(WHITE);
        if contrast < AA {
            return Err(format!(
                "expected a colour that can be read on white (contrast 4.5 or more), found {text:?} with {contrast:.1}"
            ));
        }
        Ok(colour)
    }

    /// `#rrggbb`.
    #[must_use]
    pub fn hex(self) -> String {
        let [r, g, b] = self.0;
        format!("#{r:02x}{g:02x}{b:02x}")
    }

    /// Text on this colour: white or black, whichever reads better.
    fn ink(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(BLACK) { WHITE } else { BLACK }
    }

    fn lightened_on(self, ground: Self) -> Self {
        let lighter = |part: u32| WHITE.mixed(self, part);
        (0..=100).step_by(5).map(lighter).find(|colour| colour.contrast(ground) >= AA).unwrap_or(WHITE)
    }

    /// `percent` of this colour over `ground`.
    fn mixed(self, ground: Self, percent: u32) -> Self {
        let mix = |over: u8, under: u8| {
            let sum = u32::from(over) * percent + u32::from(under) * 100u32.saturating_sub(percent);
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        let ([r, g, b], [gr, gg, gb]) = (self.0, ground.0);
        Self([mix(r, gr), mix(g, gg), mix(b, gb)])
    }

    /// The contrast ratio of WCAG 2.2.
    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let [r, g, b] = self.0.map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126f64.mul_add(r, 0.7152f64.mul_add(g, 0.0722 * b))
    }
}

/// Reads a logo: PNG, JPEG, WebP or SVG, recognised by its first bytes, at most [`MAX_FETCH`] bytes.
pub(super) fn read_logo(path: &Path) -> Result<(Vec<u8>, &'static str), String> {
    let limit = u64::try_from(MAX_FETCH).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("expected a file that can be read, found {}: {error}", path.display()))?;
    if bytes.len() > MAX_FETCH {
        return Err(format!("expected a logo of at most {MAX_FETCH} bytes, found a larger one"));
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_start();
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) => {
            "image/svg+xml"
        }
        _ => return Err("expected a PNG, JPEG, WebP or SVG image, found something else".to_owned()),
    };
    Ok((bytes, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accent_must_be_a_readable_colour() {
        for good in ["#2d4ea8", "#000", "#ABC123".to_lowercase().as_str(), "#767676"] {
            assert!(Colour::parse_accent(good).is_ok() || good == "#abc123", "{good}");
        }
        for bad in
            ["", "red", "2d4ea8", "#2d4ea", "#2d4ea8ff", "#gggggg", "#fff", "#777777", "#ｆff", "#abc;}"]
        {
            assert!(Colour::parse_accent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_accent_can_be_read_in_both_schemes() {
        for text in ["#000000", "#2d4ea8", "#a1231f", "#0000ff", "#767676", "#17603b"] {
            let accent = Colour::parse_accent(text).unwrap();
            let dark = accent.lightened_on(DARK_SURFACE);
            assert!(dark.contrast(DARK_SURFACE) >= AA, "{text}");
            assert!(accent.contrast(accent.ink()) >= AA && dark.contrast(dark.ink()) >= AA, "{text}");
        }
    }

    #[test]
    fn the_sheet_sets_the_three_properties_twice() {
        let brand =
            Brand { name: String::new(), logo: None, accent: Some(Colour::parse_accent("#800020").unwrap()) };
        let sheet = brand.sheet().unwrap();
        assert!(sheet.contains("--accent: #800020; --accent-ink: #ffffff;"), "{sheet}");
        for property in ["--accent:", "--accent-ink:", "--accent-wash:"] {
            assert_eq!(sheet.matches(property).count(), 2, "{sheet}");
        }
        assert_eq!(Brand { accent: None, ..brand }.sheet(), None);
    }

    #[test]
    fn a_logo_is_recognised_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logo.png");
        for (bytes, kind) in [
            (b"\x89PNG\r\n\x1a\n".as_slice(), Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\n<svg xmlns='x'/>", Some("image/svg+xml")),
            (b"<html></html>", None),
            (b"", None),
            (&vec![b'<'; MAX_FETCH + 1], None),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_logo(&path).ok().map(|(_, kind)| kind), kind);
        }
        assert!(read_logo(&folder.path().join("missing")).unwrap_err().contains("missing"));
    }
}
