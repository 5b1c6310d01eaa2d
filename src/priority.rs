//! Which thread goes first when there is more to do than processors.

/// How far behind the others: of a busy processor it then gets a quarter. At 10, a tenth, impacts came
/// twice as late under load, and answers hardly earlier.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 5;

/// Lets this thread, and those that it starts, run when nobody else wants the processor, as far as
/// the system can tell threads apart (Linux: `setpriority(2)`, `sched(7)` on nice values).
///
/// For work that can wait without loss. A sender waits for its answer only seconds (Okta: 3 s) and
/// may then give up; what it was answered for lies in the log however long it takes to work on it.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        if let Err(error) = rustix::process::setpriority_process(None, BEHIND) {
            tracing::debug!(%error, "this thread runs like every other");
        }
    }
}
