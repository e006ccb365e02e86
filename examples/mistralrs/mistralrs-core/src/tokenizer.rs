//! Words and punctuation marks as tokens.

use std::collections::HashMap;

pub type Token = usize;

/// Stands for every word that the vocabulary lacks.
pub const UNKNOWN: Token = 0;
pub const BEGIN: Token = 1;
pub const END: Token = 2;

#[derive(Debug, Clone)]
pub struct Tokenizer {
    words: Vec<String>,
    ids: HashMap<String, Token>,
}

/// Cuts a text to words and single punctuation marks.
pub fn split(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '-' | '_');
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        out.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    out
}

impl Tokenizer {
    pub fn from_corpus(corpus: &str) -> Self {
        let mut tokenizer = Self {
            words: Vec::new(),
            ids: HashMap::new(),
        };
        for word in ["<unk>", "<s>", "</s>"].into_iter().chain(split(corpus)) {
            if !tokenizer.ids.contains_key(word) {
                tokenizer.ids.insert(word.into(), tokenizer.words.len());
                tokenizer.words.push(word.into());
            }
        }
        tokenizer
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never, since the special tokens are always there.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub fn word(&self, token: Token) -> &str {
        &self.words[token]
    }

    /// Falls back to the lower case of a word, then to [`UNKNOWN`].
    pub fn encode(&self, text: &str) -> Vec<Token> {
        split(text)
            .into_iter()
            .map(|word| {
                self.ids
                    .get(word)
                    .or_else(|| self.ids.get(&word.to_lowercase()))
                    .copied()
                    .unwrap_or(UNKNOWN)
            })
            .collect()
    }

    /// The text that a token adds behind others.
    pub fn piece(&self, token: Token, is_first: bool) -> String {
        let word = self.word(token);
        let joins_left = matches!(word, "." | "," | ":" | ";" | "!" | "?" | ")");
        if is_first || joins_left {
            word.to_owned()
        } else {
            format!(" {word}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting() {
        assert_eq!(
            split(" Don't stop, re-run it! é?"),
            ["Don't", "stop", ",", "re-run", "it", "!", "é", "?"]
        );
        assert!(split(" \n").is_empty());
    }

    #[test]
    fn round_trip() {
        let text = "Cargo reads the manifest, then it builds.";
        let tokenizer = Tokenizer::from_corpus(text);
        let tokens = tokenizer.encode(text);
        let back: String = tokens
            .iter()
            .enumerate()
            .map(|(i, token)| tokenizer.piece(*token, i == 0))
            .collect();
        assert_eq!(back, text);
    }

    #[test]
    fn unknown_words_and_case() {
        let tokenizer = Tokenizer::from_corpus("lock Cargo");
        assert_eq!(tokenizer.encode("Lock zebra"), [3, UNKNOWN]);
        assert_eq!((tokenizer.len(), tokenizer.is_empty()), (5, false));
    }
}
