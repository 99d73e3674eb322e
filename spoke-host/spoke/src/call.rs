//! Calling one functionality of the own app.
//!
//! Answers: what does this functionality return for these arguments?
//! Never: hands on arguments or a result that do not fit their schemas, or a result that is too large.
//! Carries: I-16. No model takes part, unless the app is itself nothing but a model.

use bus::id::FunctionName;
use bus::limits::MAX_RESULT;
use bus::message::profile::{Function, Kind};
use bus::message::task::{Failure, FailureCode};
use serde_json::Value;

use crate::app::{http, prompt};
use crate::job::Job;

/// Calls it.
pub(crate) async fn run(job: &Job, name: &FunctionName, args: Value) -> Result<Value, Failure> {
    let spoke = &job.spoke;
    let function = find(&spoke.profile.functions, name).ok_or_else(|| {
        Failure::new(FailureCode::Unknown, format!("{} has no functionality {name}", spoke.profile.app))
    })?;
    spoke.schemas.request(function, &args)?;
    let value = match &spoke.profile.kind {
        Kind::Stdio { .. } | Kind::Remote { .. } => match &spoke.app {
            Some(app) => app.call(job, function, args).await?,
            None => return Err(Failure::new(FailureCode::AppExited, "the app does not run")),
        },
        Kind::Prompt => prompt::call(job, function, &args).await?,
        Kind::Http { operations } => match operations.get(name) {
            Some(operation) => {
                let (task, until) = (Some(&job.id), job.deadline);
                let errand = http::Errand { web: &spoke.web, spoke: &spoke.addr, task, until };
                http::call(errand, operation, &args).await?
            }
            None => {
                let words = format!("the manifest of {} has no request for {name}", spoke.profile.app);
                return Err(Failure::new(FailureCode::Unknown, words));
            }
        },
        Kind::Empty => {
            return Err(Failure::new(FailureCode::Unknown, "an empty spoke has no functionalities"));
        }
    };
    let size = size(&value);
    if MAX_RESULT < size {
        let words = format!("the result of {name} has {size} bytes, more than the {MAX_RESULT} allowed");
        return Err(Failure::new(FailureCode::Result, words));
    }
    spoke.schemas.response(function, &value)?;
    Ok(value)
}

/// The functionality of that name.
pub(crate) fn find<'a>(functions: &'a [Function], name: &FunctionName) -> Option<&'a Function> {
    functions.iter().find(|function| function.name == *name)
}

/// Bytes of the value as JSON, without writing it down.
fn size(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::size;

    #[test]
    fn the_size_is_that_of_the_text() {
        for value in [json!(null), json!({"a": [1, "é\n"]}), json!("x".repeat(1000))] {
            assert_eq!(size(&value), value.to_string().len());
        }
    }
}
