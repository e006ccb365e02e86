//! A word model: counts of pairs and triples of a corpus, plus an attention head that
//! looks for what followed the last word earlier in the conversation.

use std::{
    collections::{HashMap, HashSet},
    fmt, fs,
    path::Path,
};

use mistralrs_quant::Q8;

use crate::{
    attention::KvCache,
    debug_line,
    gguf::Gguf,
    ops,
    sampling::{split_mix, Sampler, SamplingParams},
    tokenizer::{Token, Tokenizer, BEGIN, END, UNKNOWN},
};

const DIM: usize = 32;
/// Of a longer prompt only the end counts.
const MAX_PROMPT: usize = 1024;
pub const MAX_TOKENS: usize = 1024;
const CORPUS: &str = include_str!("corpus.txt");

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError(String);

impl ModelError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot load the model: {}", self.0)
    }
}

impl std::error::Error for ModelError {}

#[derive(Debug, Clone, PartialEq)]
pub struct GenerateParams {
    /// Bounded by [`MAX_TOKENS`].
    pub max_tokens: usize,
    pub sampling: SamplingParams,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_tokens: 64,
            sampling: SamplingParams::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The sentence came to its end, or the caller did not want more.
    Stop,
    /// The limit of tokens was reached.
    Length,
}

impl FinishReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    pub text: String,
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub finish_reason: FinishReason,
}

#[derive(Debug)]
pub struct ToyModel {
    id: String,
    tokenizer: Tokenizer,
    sentences: Vec<HashSet<Token>>,
    singles: Vec<f32>,
    pairs: HashMap<Token, Vec<(Token, f32)>>,
    triples: HashMap<(Token, Token), Vec<(Token, f32)>>,
    embeddings: Vec<f32>,
}

impl ToyModel {
    /// A model by its name. If that is a text file, or a directory with a `corpus.txt`,
    /// the model learns from it, otherwise from the text that is built in.
    pub fn plain(name: &str) -> Result<Self, ModelError> {
        if name.is_empty() {
            return Err(ModelError::new("the name is empty"));
        }
        let path = Path::new(name);
        let corpus = if path.is_dir() {
            Some(path.join("corpus.txt"))
        } else if path.is_file() {
            Some(path.to_owned())
        } else {
            None
        };
        match corpus {
            Some(corpus) => {
                let text = fs::read_to_string(&corpus)
                    .map_err(|e| ModelError::new(format!("{}: {e}", corpus.display())))?;
                Self::from_corpus(name, &text)
            }
            None => Self::from_corpus(name, CORPUS),
        }
    }

    /// A model from a GGUF file. The metadata `general.name` names it, and it learns
    /// from `toy.corpus`, if that is there.
    pub fn gguf(dir: &Path, file: &str) -> Result<Self, ModelError> {
        let gguf = Gguf::load(&dir.join(file))?;
        debug_line!("GGUF version {}, {} tensors", gguf.version, gguf.tensors);
        let name = gguf.string("general.name").unwrap_or(file);
        Self::from_corpus(name, gguf.string("toy.corpus").unwrap_or(CORPUS))
    }

    /// Learns from a text with one sentence a line.
    pub fn from_corpus(id: &str, corpus: &str) -> Result<Self, ModelError> {
        let tokenizer = Tokenizer::from_corpus(corpus);
        let mut singles = vec![0.0; tokenizer.len()];
        let mut pairs: HashMap<_, HashMap<Token, f32>> = HashMap::new();
        let mut triples: HashMap<_, HashMap<Token, f32>> = HashMap::new();
        let mut sentences = Vec::new();
        for line in corpus.lines().filter(|line| !line.trim().is_empty()) {
            let words = tokenizer.encode(line);
            // The end belongs to the topic too, or else a sentence would begin again.
            sentences.push(words.iter().copied().chain([END]).collect());
            let tokens = [&[BEGIN, BEGIN], words.as_slice(), &[END]].concat();
            for window in tokens.windows(3) {
                let (a, b, c) = (window[0], window[1], window[2]);
                singles[c] += 1.0;
                *pairs.entry(b).or_default().entry(c).or_default() += 1.0;
                *triples.entry((a, b)).or_default().entry(c).or_default() += 1.0;
            }
        }
        if sentences.is_empty() {
            return Err(ModelError::new(format!("the corpus of {id} is empty")));
        }
        let embeddings = embeddings(&tokenizer);
        debug_line!(
            "model {id}: {} words, {} sentences, {} bytes of weights",
            tokenizer.len(),
            sentences.len(),
            embeddings.bytes()
        );
        Ok(Self {
            id: id.into(),
            tokenizer,
            sentences,
            singles,
            pairs: lists(pairs),
            triples: lists(triples),
            embeddings: embeddings.dequantize(),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn generate(&self, prompt: &str, params: &GenerateParams) -> Completion {
        self.generate_with(prompt, params, |_| true)
    }

    /// Calls back with every piece of text, and stops when that returns false.
    pub fn generate_with(
        &self,
        prompt: &str,
        params: &GenerateParams,
        mut on_piece: impl FnMut(&str) -> bool,
    ) -> Completion {
        let max_tokens = params.max_tokens.min(MAX_TOKENS);
        let mut context = self.tokenizer.encode(prompt);
        let prompt_tokens = context.len();
        context.drain(..prompt_tokens.saturating_sub(MAX_PROMPT));
        let topic = self.topic(&context);
        debug_line!("prompt of {prompt_tokens} tokens, topic {topic:?}");

        let mut cache = KvCache::new(MAX_PROMPT + MAX_TOKENS + 2, DIM);
        for pair in context.windows(2) {
            cache.push(self.embedding(pair[0]), self.embedding(pair[1]));
        }
        let start = context.len() + 1;
        context.extend([BEGIN, BEGIN]);

        let mut sampler = Sampler::new(params.sampling);
        let mut completion = Completion {
            text: String::new(),
            prompt_tokens,
            completion_tokens: 0,
            finish_reason: FinishReason::Length,
        };
        while completion.completion_tokens < max_tokens {
            let logits = self.logits(&context[start - 1..], topic, &cache);
            let token = sampler.sample(&logits);
            let last = context[context.len() - 1];
            cache.push(self.embedding(last), self.embedding(token));
            context.push(token);
            if token == END {
                completion.finish_reason = FinishReason::Stop;
                break;
            }
            completion.completion_tokens += 1;
            let piece = self.tokenizer.piece(token, completion.text.is_empty());
            completion.text.push_str(&piece);
            if !on_piece(&piece) {
                completion.finish_reason = FinishReason::Stop;
                break;
            }
        }
        completion
    }

    /// The sentence that shares the most and the rarest words with the prompt.
    fn topic(&self, prompt: &[Token]) -> Option<usize> {
        let words: HashSet<Token> = prompt.iter().copied().filter(|t| *t != UNKNOWN).collect();
        let mut best = (None, 0.0);
        for (i, sentence) in self.sentences.iter().enumerate() {
            let mut shared: Vec<_> = words.intersection(sentence).copied().collect();
            // Sorted, since the order of a set varies and with it the rounding.
            shared.sort_unstable();
            let score: f32 = shared.iter().map(|t| 1.0 / self.singles[*t]).sum();
            if score > best.1 {
                best = (Some(i), score);
            }
        }
        best.0
    }

    fn embedding(&self, token: Token) -> &[f32] {
        &self.embeddings[token * DIM..(token + 1) * DIM]
    }

    /// `answer` begins with two [`BEGIN`]s.
    fn logits(&self, answer: &[Token], topic: Option<usize>, cache: &KvCache) -> Vec<f32> {
        let (before, last) = (answer[answer.len() - 2], answer[answer.len() - 1]);
        let looked_up = cache.attend(self.embedding(last));
        let mut logits = ops::matvec(&self.embeddings, &looked_up);
        for (logit, count) in logits.iter_mut().zip(&self.singles) {
            *logit = 0.02 * *logit + 0.05 * count.ln_1p();
        }
        for (token, count) in self.pairs.get(&last).into_iter().flatten() {
            logits[*token] += count.ln_1p();
        }
        for (token, count) in self.triples.get(&(before, last)).into_iter().flatten() {
            logits[*token] += 1.5 * count.ln_1p();
        }
        if let Some(topic) = topic {
            for token in &self.sentences[topic] {
                logits[*token] += 5.0;
            }
        }
        for token in &answer[2..] {
            logits[*token] -= 1.0;
        }
        logits[UNKNOWN] = f32::NEG_INFINITY;
        logits[BEGIN] = f32::NEG_INFINITY;
        logits
    }
}

fn lists<K: std::hash::Hash + Eq>(
    counts: HashMap<K, HashMap<Token, f32>>,
) -> HashMap<K, Vec<(Token, f32)>> {
    counts
        .into_iter()
        .map(|(key, counts)| (key, counts.into_iter().collect()))
        .collect()
}

/// A pseudo-random vector for each word, which depends on the word alone.
fn embeddings(tokenizer: &Tokenizer) -> Q8 {
    let mut weights = Vec::with_capacity(tokenizer.len() * DIM);
    for token in 0..tokenizer.len() {
        // FNV-1a.
        let mut state = tokenizer
            .word(token)
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        for _ in 0..DIM {
            let fraction = (split_mix(&mut state) >> 40) as f32 / (1u64 << 24) as f32;
            weights.push((fraction - 0.5) * 4.0);
        }
    }
    Q8::quantize(&weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ToyModel {
        ToyModel::plain("toy").unwrap()
    }

    #[test]
    fn answers_fit_the_question() {
        let model = model();
        for (question, word) in [
            ("Hello!", "toy"),
            ("What does the linker do?", "objects"),
            ("Tell me about a kernel", "card"),
        ] {
            let answer = model.generate(question, &GenerateParams::default());
            assert!(answer.text.contains(word), "{question} -> {}", answer.text);
            assert_eq!(answer.finish_reason, FinishReason::Stop);
        }
    }

    #[test]
    fn is_deterministic() {
        let params = GenerateParams {
            sampling: SamplingParams {
                temperature: 1.0,
                seed: 5,
                ..Default::default()
            },
            ..Default::default()
        };
        let answers: HashSet<_> = (0..4)
            .map(|_| model().generate("a", &params).text)
            .collect();
        assert_eq!(answers.len(), 1);
    }

    #[test]
    fn limit_of_tokens() {
        let params = GenerateParams {
            max_tokens: 3,
            ..Default::default()
        };
        let answer = model().generate("cache", &params);
        assert_eq!(answer.completion_tokens, 3);
        assert_eq!(answer.finish_reason, FinishReason::Length);
    }

    #[test]
    fn endless_sampling_stays_within_the_cache() {
        let params = GenerateParams {
            max_tokens: usize::MAX,
            sampling: SamplingParams {
                temperature: 100.0,
                ..Default::default()
            },
        };
        let prompt = "lock file ".repeat(2 * MAX_PROMPT);
        let answer = model().generate(&prompt, &params);
        assert_eq!(answer.prompt_tokens, 4 * MAX_PROMPT);
        assert!(answer.completion_tokens <= MAX_TOKENS);
    }

    #[test]
    fn pieces_add_up_and_can_stop() {
        let mut text = String::new();
        let answer = model().generate_with("tests", &GenerateParams::default(), |piece| {
            text.push_str(piece);
            text.len() < 10
        });
        assert_eq!(answer.text, text);
        assert!(text.len() < 30);
    }

    #[test]
    fn learns_from_a_text() {
        let model = ToyModel::from_corpus("own", "Cows eat grass.\n\nBirds eat seeds.").unwrap();
        let answer = model.generate("What do birds eat? Birds", &GenerateParams::default());
        assert_eq!(answer.text, "Birds eat seeds.");
        assert!(ToyModel::from_corpus("own", " \n").is_err());
        assert!(ToyModel::plain("").is_err());
    }
}
