//! Boxes of text.

/// A frame with a title around lines.
pub fn draw_box(title: &str, lines: &[&str], unicode: bool) -> String {
    // Corners from the upper left clockwise, horizontal, vertical.
    let [a, b, c, d, h, v] = if unicode && cfg!(feature = "terminal") {
        ["┌", "┐", "┘", "└", "─", "│"]
    } else {
        ["+", "+", "+", "+", "-", "|"]
    };
    let length = |text: &str| text.chars().count();
    let inner = lines.iter().map(|line| length(line)).max().unwrap_or(0);
    let width = inner.max(length(title) + 2) + 2;
    let rest = h.repeat(width - length(title) - 3);
    let mut out = format!("{a}{h} {title} {rest}{b}\n");
    for line in lines {
        let space = " ".repeat(width - 1 - length(line));
        out += &format!("{v} {line}{space}{v}\n");
    }
    out + &format!("{d}{}{c}\n", h.repeat(width))
}

/// Width and height of a text in pixels, with characters of 8 by 16.
#[cfg(feature = "gpu")]
pub fn pixels(text: &str) -> (usize, usize) {
    let columns = text.lines().map(|line| line.chars().count()).max();
    (8 * columns.unwrap_or(0), 16 * text.lines().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii() {
        let expected = "\
+- t -+
| abc |
| é   |
+-----+
";
        assert_eq!(draw_box("t", &["abc", "é"], false), expected);
    }

    #[test]
    fn all_lines_are_equally_long() {
        for (title, line) in [("", ""), ("a long title", "x"), ("x", "a long line")] {
            for unicode in [false, true] {
                let text = draw_box(title, &[line], unicode);
                let mut widths = text.lines().map(|l| l.chars().count());
                let first = widths.next().unwrap();
                assert!(widths.all(|width| width == first), "{text}");
            }
        }
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn size_in_pixels() {
        assert_eq!(pixels("ab\nabc\n"), (24, 32));
    }
}
