//! The whole-path suites: one test binary per subject in `tests/`, all standing on the `lab`.
