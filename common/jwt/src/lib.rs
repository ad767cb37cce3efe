//! JSON Web Tokens: what they say, and whether to believe it.

#![forbid(unsafe_code)]
