use std::time::Instant;

fn main() {
    let (tokens, start) = ((0..4096).collect::<Vec<u32>>(), Instant::now());
    for _ in 0..100 {
        std::hint::black_box(dynamo_llm::backend::blocks(&tokens, 16));
    }
    println!("tokenizer: {} ns/iter", start.elapsed().as_nanos() / 100);
}
