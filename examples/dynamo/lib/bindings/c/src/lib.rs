//! The C interface. Its header is include/nvidia/dynamo_llm/llm_engine.h.

/// The version of the interface.
#[unsafe(no_mangle)]
pub extern "C" fn dynamo_llm_version() -> u32 {
    9
}

/// How many optional parts were compiled in.
#[unsafe(no_mangle)]
pub extern "C" fn dynamo_llm_features() -> u32 {
    dynamo_llm::features().len() as u32
}
