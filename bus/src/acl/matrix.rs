//! Every role against every subject, as a table that a person can read.
//!
//! Answers: who may publish and who may subscribe to what, in full?
//! Never: decides anything; the rights come from `acl::rights`, or from asking a broker.
//! Carries: I-01, I-03, I-04, I-09. `tests/golden/acl-matrix.txt` is this text, proven against a real broker.

use std::fmt::Write as _;

use super::{GRANTS_BUCKET, Role, rights};
use crate::id::{AppId, HostId, IdError, SessionId, SpokeAddr, SpokeId, UserId};
use crate::subject::{Auditor, Leaf, Op, Service, Subject, inbox, pattern};

/// A role of the table under its short name; `None` is a connection without a credential.
pub type Row = (&'static str, Option<Role>);

/// A subject or pattern of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As it is written on the wire.
    pub text: String,
    /// For a subscription within a queue group.
    pub queue: Option<&'static str>,
    /// Columns that differ only in their operation share all but the last token; they share a line of the table
    /// where they share their rights.
    family: Option<usize>,
}

/// What a role may do with a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Send to it.
    pub publish: bool,
    /// Hear it.
    pub subscribe: bool,
}

/// The table: `cells[column][row]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The roles.
    pub rows: Vec<Row>,
    /// The subjects and patterns.
    pub columns: Vec<Column>,
    /// One line for each column, one cell for each row.
    pub cells: Vec<Vec<Cell>>,
}

impl Matrix {
    /// The table by the rule alone.
    ///
    /// # Errors
    /// Never: the names of its parties are legal. It is an error and no panic, as everywhere.
    pub fn by_rule() -> Result<Self, IdError> {
        Self::by(|role, column| match role {
            None => Cell { publish: false, subscribe: false },
            Some(role) => {
                let rights = rights(role);
                Cell {
                    publish: column.queue.is_none() && rights.may_publish(&column.text),
                    subscribe: rights.may_subscribe(&column.text),
                }
            }
        })
    }

    /// The table by whatever `cell` says.
    ///
    /// # Errors
    /// As [`Matrix::by_rule`].
    pub fn by(mut cell: impl FnMut(Option<&Role>, &Column) -> Cell) -> Result<Self, IdError> {
        let parties = Parties::new()?;
        let (rows, columns) = (parties.rows(), parties.columns());
        let cells = columns
            .iter()
            .map(|column| rows.iter().map(|(_, role)| cell(role.as_ref(), column)).collect())
            .collect();
        Ok(Self { rows, columns, cells })
    }

    /// The table as text. `p`: may publish, `s`: may subscribe.
    #[must_use]
    pub fn render(&self) -> String {
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (column, cells) in self.columns.iter().zip(&self.cells) {
            let (prefix, op) = column.text.rsplit_once('.').unwrap_or(("", &column.text));
            let same = |line: &&mut Line<'_>| line.family == column.family && line.cells == cells.as_slice();
            match (column.family, column.queue) {
                (Some(_), _) => match lines.iter_mut().find(same) {
                    Some(line) => line.ops.push(op),
                    None => {
                        lines.push(Line { text: prefix.into(), ops: vec![op], family: column.family, cells })
                    }
                },
                (None, queue) => {
                    let queue = queue.map(|queue| format!(" (queue group {queue})")).unwrap_or_default();
                    let text = format!("{}{queue}", column.text);
                    lines.push(Line { text, ops: Vec::new(), family: None, cells });
                }
            }
        }
        let lines: Vec<(String, &[Cell])> = lines
            .into_iter()
            .map(|line| match line.ops.len() {
                0 => (line.text, line.cells),
                all if all == Op::ALL.len() => (format!("{}.<any operation>", line.text), line.cells),
                _ => (format!("{}.<{}>", line.text, line.ops.join("|")), line.cells),
            })
            .collect();

        let width = lines.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
        let mut out = String::from(HEADER);
        let _ = write!(out, "{:width$}", "");
        for (name, _) in &self.rows {
            let _ = write!(out, "  {name}");
        }
        out.push('\n');
        for (text, cells) in lines {
            let _ = write!(out, "{text:width$}");
            for ((name, _), cell) in self.rows.iter().zip(cells) {
                let mark = match (cell.publish, cell.subscribe) {
                    (true, true) => "ps",
                    (true, false) => "p",
                    (false, true) => "s",
                    (false, false) => ".",
                };
                let _ = write!(out, "  {mark:^width$}", width = name.len());
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out.push_str("\nAnswers beyond the list (allow_responses), as the $SRV protocol needs them:\n");
        for (name, role) in &self.rows {
            let respond = role.as_ref().and_then(|role| rights(role).respond);
            if let Some((messages, time)) = respond {
                let _ = writeln!(out, "{name}: {messages} message within {time:?}");
            }
        }
        out
    }
}

/// A line of the text: one column, or those of one family with the same cells.
struct Line<'a> {
    text: String,
    ops: Vec<&'a str>,
    family: Option<usize>,
    cells: &'a [Cell],
}

const HEADER: &str = "\
# Who may publish (p) and subscribe (s) to what. Nothing else may anything.
# spoke-a runs mail, spoke-b drive; mail.c1 is another process of mail. user-a is ann, user-b is bob.

";

/// One concrete party of each kind, and another of the same kind.
struct Parties {
    spokes: [SpokeAddr; 3],
    hosts: [HostId; 2],
    users: [UserId; 2],
    session: SessionId,
}

impl Parties {
    fn new() -> Result<Self, IdError> {
        let spoke =
            |app, id| Ok::<_, IdError>(SpokeAddr { app: AppId::parse(app)?, id: SpokeId::parse(id)? });
        Ok(Self {
            spokes: [spoke("mail", "a1")?, spoke("drive", "b1")?, spoke("mail", "c1")?],
            hosts: [HostId::parse("host-a")?, HostId::parse("host-b")?],
            users: [UserId::parse("ann")?, UserId::parse("bob")?],
            session: SessionId::parse("s1")?,
        })
    }

    fn rows(&self) -> Vec<Row> {
        let [spoke_a, spoke_b, _] = &self.spokes;
        let [host_a, host_b] = &self.hosts;
        let [user_a, user_b] = &self.users;
        vec![
            ("hub", Some(Role::Hub)),
            ("llm", Some(Role::LlmGateway)),
            ("egress", Some(Role::EgressGateway)),
            ("supervisor", Some(Role::Supervisor)),
            ("host-a", Some(Role::Host(host_a.clone()))),
            ("host-b", Some(Role::Host(host_b.clone()))),
            ("spoke-a", Some(Role::Spoke(spoke_a.clone()))),
            ("spoke-b", Some(Role::Spoke(spoke_b.clone()))),
            ("user-a", Some(Role::User(user_a.clone()))),
            ("user-b", Some(Role::User(user_b.clone()))),
            ("tap", Some(Role::Tap)),
            ("operator", Some(Role::Operator)),
            ("anonymous", None),
        ]
    }

    /// Every subject that can be built, each with every operation, and the patterns that somebody might try.
    fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        let mut families = 0;
        let mut each_op = |columns: &mut Vec<Column>, subject: &dyn Fn(Op) -> Subject| {
            families += 1;
            columns.extend(Op::ALL.iter().map(|&op| Column {
                text: subject(op).to_string(),
                queue: None,
                family: Some(families),
            }));
        };
        for spoke in &self.spokes {
            for service in Service::ALL {
                each_op(&mut columns, &|op| Subject::SpokeOut { spoke: spoke.clone(), service, op });
            }
            for leaf in self.leaves() {
                columns.push(subject(&Subject::SpokeIn { spoke: spoke.clone(), leaf }));
            }
        }
        for service in [Service::Llm, Service::Egress] {
            each_op(&mut columns, &|op| Subject::HubOut { service, op });
        }
        columns.extend(self.leaves().map(|leaf| subject(&Subject::HubIn(leaf))));
        for host in &self.hosts {
            each_op(&mut columns, &|op| Subject::HostOut { host: host.clone(), op });
            columns.extend(self.leaves().map(|leaf| subject(&Subject::HostIn { host: host.clone(), leaf })));
        }
        each_op(&mut columns, &Subject::HostAny);
        for user in &self.users {
            each_op(&mut columns, &|op| Subject::UserOut { user: user.clone(), op });
            columns.extend(self.leaves().map(|leaf| subject(&Subject::UserIn { user: user.clone(), leaf })));
        }
        let [host_a, host_b] = self.hosts.clone();
        let auditors = [Auditor::Hub, Auditor::Llm, Auditor::Egress, Auditor::Supervisor];
        for by in auditors.into_iter().chain([Auditor::Host(host_a), Auditor::Host(host_b)]) {
            each_op(&mut columns, &|op| Subject::Audit { by: by.clone(), op });
            columns.push(subject(&Subject::Echo(by)));
        }
        columns.extend(self.patterns().into_iter().map(|text| Column { text, queue: None, family: None }));
        let [spoke_a, ..] = &self.spokes;
        for (text, queue) in [
            (pattern::ANY_HOST.to_owned(), pattern::HOSTS),
            (pattern::spoke_in(spoke_a), "thieves"),
            (pattern::every_spoke_to(Service::Llm), "thieves"),
            (pattern::ALL.to_owned(), "thieves"),
        ] {
            columns.push(Column { text, queue: Some(queue), family: None });
        }
        columns
    }

    fn leaves(&self) -> impl Iterator<Item = Leaf> + use<> {
        [
            Leaf::Task,
            Leaf::Cancel,
            Leaf::Spawn,
            Leaf::Stop,
            Leaf::Lease,
            Leaf::Prompt,
            Leaf::Event(self.session.clone()),
            Leaf::Reply("x1".to_owned()),
        ]
        .into_iter()
    }

    fn patterns(&self) -> Vec<String> {
        let mut patterns: Vec<String> = [
            ">",
            "*",
            pattern::ALL,
            "secgpt.*",
            "secgpt.spoke.>",
            "secgpt.spoke.*.*.out.>",
            pattern::EVERY_SPOKE_IN,
            pattern::EVERY_SPOKE_REPLY,
            "secgpt.spoke.mail.>",
            "secgpt.spoke.mail.*.in.>",
            "secgpt.spoke.mail.a1.>",
            "secgpt.spoke.mail.a1.*.task",
            pattern::HUB_OUT,
            pattern::HUB_IN,
            pattern::HUB_REPLY,
            pattern::EVERY_HOST_OUT,
            pattern::EVERY_HOST_IN,
            pattern::ANY_HOST,
            pattern::EVERY_USER_OUT,
            pattern::EVERY_USER_IN,
            pattern::AUDIT,
            "_INBOX.>",
            "_INBOX.x1",
            "$SRV.>",
            "$SRV.PING",
            "$SYS.>",
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.REQ.SERVER.PING",
            "$JS.>",
            "$JS.API.>",
            "$JS.API.INFO",
            "$JS.API.STREAM.CREATE.other",
            "$JS.API.STREAM.LIST",
            "$KV.>",
            "$KV.other.x1",
            "$O.>",
        ]
        .map(str::to_owned)
        .into();
        patterns.push(format!("$JS.API.STREAM.CREATE.KV_{GRANTS_BUCKET}"));
        patterns.push(format!("$JS.API.STREAM.DELETE.KV_{GRANTS_BUCKET}"));
        patterns.push(format!("$KV.{GRANTS_BUCKET}.x1"));
        let ([spoke, ..], [host, _], [user, _]) = (&self.spokes, &self.hosts, &self.users);
        patterns.extend([
            pattern::spoke_in(spoke),
            pattern::spoke_out(spoke),
            format!("{}.>", inbox::spoke(spoke)),
        ]);
        patterns.extend([pattern::host_in(host), pattern::host_out(host)]);
        patterns.extend([pattern::user_in(user), pattern::user_out(user)]);
        patterns.extend(Service::ALL.map(pattern::every_spoke_to));
        patterns.extend([Service::Llm, Service::Egress].map(pattern::hub_to));
        patterns
    }
}

fn subject(subject: &Subject) -> Column {
    Column { text: subject.to_string(), queue: None, family: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A number for each kind of subject. A new kind does not compile here until it has one.
    fn kind(subject: &Subject) -> usize {
        match subject {
            Subject::SpokeOut { .. } => 0,
            Subject::SpokeIn { .. } => 1,
            Subject::HubOut { .. } => 2,
            Subject::HubIn(_) => 3,
            Subject::HostOut { .. } => 4,
            Subject::HostIn { .. } => 5,
            Subject::HostAny(_) => 6,
            Subject::UserOut { .. } => 7,
            Subject::UserIn { .. } => 8,
            Subject::Audit { .. } => 9,
            Subject::Echo(_) => 10,
        }
    }

    #[test]
    fn every_kind_of_subject_has_its_columns() {
        let matrix = Matrix::by_rule().unwrap();
        let mut seen = [0; 11];
        for column in &matrix.columns {
            if let Some(subject) = Subject::parse(&column.text) {
                seen[kind(&subject)] += 1;
            }
        }
        assert!(seen.iter().all(|&count| 0 < count), "{seen:?}");
        let audited = seen[9];
        assert_eq!(audited, 6 * Op::ALL.len());
    }

    #[test]
    fn operations_with_different_rights_stand_on_different_lines() {
        let matrix = Matrix::by(|_, column| Cell {
            publish: column.text == "secgpt.spoke.mail.a1.out.llm.chat",
            subscribe: false,
        })
        .unwrap();
        let text = matrix.render();
        assert!(text.contains("\nsecgpt.spoke.mail.a1.out.llm.<chat> "), "{text}");
        assert!(text.contains("\nsecgpt.spoke.mail.a1.out.llm.<budget|"), "{text}");
        assert!(text.contains("\nsecgpt.spoke.drive.b1.out.llm.<any operation> "), "{text}");
    }

    #[test]
    fn somebody_without_a_credential_may_nothing() {
        let matrix = Matrix::by_rule().unwrap();
        let last = matrix.rows.len() - 1;
        assert_eq!(matrix.rows[last].0, "anonymous");
        assert!(matrix.cells.iter().all(|cells| !cells[last].publish && !cells[last].subscribe));
    }
}
