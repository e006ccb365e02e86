//! The Python module `mistralrs`.

use mistralrs_core::{CudaStatus, GenerateParams, SamplingParams, ToyModel};
use mistralrs_mcp::{McpConfig, Value};
use pyo3::{exceptions::PyValueError, prelude::*};

/// What to answer, and how.
#[pyclass(frozen, from_py_object)]
#[derive(Clone)]
struct ChatCompletionRequest {
    messages: Vec<(String, String)>,
    params: GenerateParams,
}

#[pymethods]
impl ChatCompletionRequest {
    /// `messages` are pairs of a role and a text.
    #[new]
    #[pyo3(signature = (messages, *, max_tokens=64, temperature=0.0, top_k=0, top_p=1.0, seed=0))]
    fn new(
        messages: Vec<(String, String)>,
        max_tokens: usize,
        temperature: f32,
        top_k: usize,
        top_p: f32,
        seed: u64,
    ) -> PyResult<Self> {
        if messages.is_empty() {
            return Err(PyValueError::new_err("messages must not be empty"));
        }
        if !(0.0..=2.0).contains(&temperature) || !(0.0..=1.0).contains(&top_p) {
            return Err(PyValueError::new_err(
                "temperature must be 0 to 2 and top_p 0 to 1",
            ));
        }
        Ok(Self {
            messages,
            params: GenerateParams {
                max_tokens,
                sampling: SamplingParams {
                    temperature,
                    top_k,
                    top_p,
                    seed,
                },
            },
        })
    }
}

#[pyclass(frozen, get_all)]
struct Completion {
    text: String,
    prompt_tokens: usize,
    completion_tokens: usize,
    finish_reason: &'static str,
}

#[pymethods]
impl Completion {
    fn __repr__(&self) -> String {
        format!(
            "Completion(text={}, finish_reason={})",
            Value::from(self.text.as_str()).to_python_literal(),
            Value::from(self.finish_reason).to_python_literal()
        )
    }
}

/// A loaded model.
#[pyclass(frozen)]
struct Runner {
    model: ToyModel,
}

#[pymethods]
impl Runner {
    #[new]
    fn new(model_id: &str) -> PyResult<Self> {
        let model = ToyModel::plain(model_id).map_err(|e| PyValueError::new_err(e.to_string()))?;
        Ok(Self { model })
    }

    #[getter]
    fn model_id(&self) -> &str {
        self.model.id()
    }

    /// Other Python threads run meanwhile.
    fn send_chat_completion_request(
        &self,
        py: Python<'_>,
        request: &ChatCompletionRequest,
    ) -> Completion {
        let texts: Vec<&str> = request.messages.iter().map(|(_, t)| t.as_str()).collect();
        let prompt = texts.join("\n");
        let completion = py.detach(|| self.model.generate(&prompt, &request.params));
        Completion {
            text: completion.text,
            prompt_tokens: completion.prompt_tokens,
            completion_tokens: completion.completion_tokens,
            finish_reason: completion.finish_reason.as_str(),
        }
    }
}

/// The back-ends that are compiled in.
#[pyfunction]
fn backends() -> Vec<&'static str> {
    mistralrs_core::backends()
}

/// State of CUDA in this build and on this machine.
#[pyfunction]
fn cuda_status() -> String {
    CudaStatus::detect().to_string()
}

/// The names of the servers in an MCP configuration that are enabled.
#[pyfunction]
fn mcp_servers(config: &str) -> PyResult<Vec<String>> {
    let config = McpConfig::parse(config).map_err(|e| PyValueError::new_err(e.to_string()))?;
    Ok(config.enabled().map(|server| server.name.clone()).collect())
}

#[pymodule]
fn mistralrs(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<ChatCompletionRequest>()?;
    module.add_class::<Completion>()?;
    module.add_class::<Runner>()?;
    module.add_function(wrap_pyfunction!(backends, module)?)?;
    module.add_function(wrap_pyfunction!(cuda_status, module)?)?;
    module.add_function(wrap_pyfunction!(mcp_servers, module)?)?;
    Ok(())
}
