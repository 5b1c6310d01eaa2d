//! The answer as workflow commands of GitHub Actions: annotations of the run.

use super::{Asked, path, sentence};
use crate::{
    cli::output::Output,
    correlation::gate::{Answer, Verdict},
    domain::Fate,
};

pub(super) fn print(output: Output, asked: &Asked) -> std::io::Result<()> {
    for judged in &asked.keys {
        let level = match judged.verdict {
            Verdict::Blocks => "error",
            Verdict::Doubtful => "warning",
            Verdict::Accepted => "notice",
            Verdict::Clear if judged.fate == Fate::Survives => "notice",
            Verdict::Clear => continue,
        };
        let (label, key) = (&judged.key.label, path(judged));
        let text = format!("{}: {label} ({key}): {}", asked.person, judged.why);
        output.line(&command(level, "offkey gate", &text))?;
    }
    for gap in &asked.gaps {
        output.line(&command("warning", "offkey gate", gap))?;
    }
    let level = match asked.answer {
        Answer::Safe => "notice",
        Answer::NotSafe | Answer::UnknownPerson => "error",
    };
    output.line(&command(level, "offkey gate", &sentence(asked)))
}

/// One workflow command; what would end it or a property of it is escaped.
fn command(level: &str, title: &str, text: &str) -> String {
    let escape = |text: &str| {
        let text = text.replace('%', "%25");
        text.replace('\r', "%0D").replace('\n', "%0A")
    };
    let title = escape(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", escape(text))
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_label_cannot_end_the_command_and_begin_another() {
        assert_eq!(
            command("error", "a:b,c", "50 %\n::warning::x\r"),
            "::error title=a%3Ab%2Cc::50 %25%0A::warning::x%0D"
        );
    }
}
