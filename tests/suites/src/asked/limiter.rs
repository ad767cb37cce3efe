//! Envoy's rate limit service: counts descriptors, for an [`Answerer`](super::Answerer).

use std::collections::HashMap;

use http::Response;
use parking_lot::Mutex;
use wire::proto::rate_limit::{
    HeaderValue, RateLimitDescriptor, RateLimitRequest, RateLimitResponse,
    rate_limit_response::{Code, DescriptorStatus},
};

use super::{Answer, Question, grpc};

/// The path of the call.
pub const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// The entries of a descriptor: names and values, in order.
pub type Entries = Vec<(String, String)>;

/// Counts: so many requests of each descriptor pass, ever.
#[derive(Debug)]
pub struct Limiter {
    most: u64,
    counted: Mutex<HashMap<Entries, u64>>,
}

impl Limiter {
    /// Lets `most` of each descriptor pass.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            counted: Mutex::default(),
        }
    }

    /// Counts a question and answers it.
    pub fn answer(&self, asked: &Question) -> Response<Answer> {
        let Some(asked) = question(asked) else {
            return grpc::fail(12);
        };
        let statuses: Vec<_> = asked
            .descriptors
            .iter()
            .map(|it| self.count(entries(it), asked.hits_addend.max(1)))
            .collect();
        let is_over = |it: &DescriptorStatus| it.code == i32::from(Code::OverLimit);
        let overall = match statuses.iter().any(is_over) {
            true => Code::OverLimit,
            false => Code::Ok,
        };
        grpc::answer(&RateLimitResponse {
            overall_code: overall.into(),
            statuses,
            ..RateLimitResponse::default()
        })
    }

    /// How often it was asked about each descriptor.
    pub fn counted(&self) -> HashMap<Entries, u64> {
        self.counted.lock().clone()
    }

    fn count(&self, descriptor: Entries, hits: u32) -> DescriptorStatus {
        let mut counted = self.counted.lock();
        let count = counted.entry(descriptor).or_default();
        *count += u64::from(hits);
        let code = match *count > self.most {
            true => Code::OverLimit,
            false => Code::Ok,
        };
        DescriptorStatus {
            code: code.into(),
            limit_remaining: u32::try_from(self.most.saturating_sub(*count)).unwrap_or(u32::MAX),
            ..DescriptorStatus::default()
        }
    }
}

/// What was asked; `None` where it was something else.
pub fn question(question: &Question) -> Option<RateLimitRequest> {
    (question.request.uri().path() == PATH).then(|| grpc::message(question))?
}

/// A descriptor, taken apart.
pub fn entries(descriptor: &RateLimitDescriptor) -> Entries {
    let entries = descriptor.entries.iter();
    entries
        .map(|it| (it.key.clone(), it.value.clone()))
        .collect()
}

/// Headers that an answer adds.
pub fn headers(headers: &[(&str, &str)]) -> Vec<HeaderValue> {
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
        ..HeaderValue::default()
    };
    headers.iter().map(header).collect()
}

/// Fails the call.
pub fn fail(status: u8) -> Response<Answer> {
    grpc::fail(status)
}

/// Whatever answer.
pub fn answer(response: &RateLimitResponse) -> Response<Answer> {
    grpc::answer(response)
}
