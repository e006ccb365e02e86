//! The life of a component.

/// Where a component is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    Stopped,
}

/// A component: it runs once.
#[derive(Debug)]
pub struct Component {
    state: State,
}

impl Default for Component {
    fn default() -> Self {
        Self {
            state: State::Created,
        }
    }
}

impl Component {
    pub fn state(&self) -> State {
        self.state
    }

    /// Start it; false if it has run before.
    pub fn start(&mut self) -> bool {
        let is_new = self.state == State::Created;
        if is_new {
            self.state = State::Running;
        }
        is_new
    }

    pub fn stop(&mut self) {
        self.state = State::Stopped;
    }
}
