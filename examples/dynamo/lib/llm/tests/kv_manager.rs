// As in the original when its guide was written: nothing in this file runs.
//
// #[test]
// fn blocks_are_reused() {}
