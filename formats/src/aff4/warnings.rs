// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is odd about a volume, without repeating it for each of a million objects.

/// Warnings, of which only the first are kept.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    kept: Vec<String>,
    others: u64,
}

/// The most warnings to keep.
const MAX: usize = 100;
/// The most characters of a warning.
const MAX_CHARS: usize = 1000;

impl Warnings {
    pub(super) fn push(&mut self, warning: &str) {
        if self.kept.len() < MAX {
            self.kept.push(warning.chars().take(MAX_CHARS).collect());
        } else {
            self.others += 1;
        }
    }

    /// The warnings, of which the last says how many there are besides.
    pub(super) fn into_list(mut self) -> Vec<String> {
        if self.others > 0 {
            let others = self.others;
            self.kept
                .push(format!("there are {others} more such notes"));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_warnings_are_a_hundred_and_a_count() {
        let mut warnings = Warnings::default();
        for number in 0..1_000_000 {
            warnings.push(&number.to_string());
        }
        let list = warnings.into_list();
        assert_eq!(list.len(), MAX + 1);
        assert_eq!(list[MAX], "there are 999900 more such notes");
    }
}
