//! The written form of a system call policy.
//!
//! Answers: what does a policy file allow, refuse with an error, or kill for, and why?
//! Never: knows a call number, or touches a process. Shared by the build script, which compiles the
//! files, and by the tests, which are generated from them.
//! Carries: I-11. An unknown word, a missing reason or an empty list is an error, so it cannot build.

use serde::Deserialize;

/// One policy file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Who it is for, for people.
    pub description: String,
    /// What happens to everything that no rule names.
    pub default: DefaultAction,
    /// Calls that pass.
    pub allow: Vec<Rule>,
    /// Calls that come back with an error.
    pub errno: Vec<ErrnoRule>,
    /// Calls named to be killed for. They would be without being named; naming them keeps anybody
    /// from allowing them by accident, and gives the tests and reports their names.
    pub refuse: Vec<Refusal>,
}

/// There is one default on purpose: a second variant would be a way to weaken the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultAction {
    /// The process ends with SIGSYS, and the call is not made.
    KillProcess,
}

/// Calls that pass when all conditions hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names of the calls.
    pub calls: Vec<String>,
    /// All of them must hold; none means the call passes whatever its arguments are.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The one architecture that has these calls.
    #[serde(default)]
    pub only_on: Option<Arch>,
    /// Why the calls are needed.
    pub reason: String,
}

/// Calls that are answered with an error when all conditions hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrnoRule {
    /// Names of the calls.
    pub calls: Vec<String>,
    /// As in [`Rule`].
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The name of the error.
    #[serde(rename = "return")]
    pub errno: String,
    /// Why an error and not the default.
    pub reason: String,
}

/// Calls that must never be in `allow` or `errno`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Names of the calls.
    pub calls: Vec<String>,
    /// The one architecture that has these calls.
    #[serde(default)]
    pub only_on: Option<Arch>,
    /// Why they are refused.
    pub reason: String,
}

/// Architectures a policy can be compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "aarch64")]
    Aarch64,
}

/// A condition on one argument. Exactly one of `is` and `none_of` is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Which argument, from 0.
    pub arg: u8,
    /// How much of the argument the kernel itself looks at.
    #[serde(default)]
    pub width: Width,
    /// Only these bits are compared (with `is`).
    #[serde(default)]
    pub mask: Option<String>,
    /// The argument is this.
    #[serde(default)]
    pub is: Option<String>,
    /// The argument is none of these.
    #[serde(default)]
    pub none_of: Vec<String>,
}

/// 32 or 64 bits. A filter that compares 64 bits where the kernel reads 32 can be walked around by
/// setting upper bits in a "none of" condition, hence 32 is the default, as most arguments are `int`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Width {
    #[default]
    Dword,
    Qword,
}

/// A condition with its words turned into numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Test {
    Is { mask: Option<u64>, value: u64 },
    NoneOf(Vec<u64>),
}

impl Policy {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// A sentence that says which rule is wrong and how.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let policy: Policy = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if policy.allow.is_empty() {
            return Err("a policy that allows nothing is not a policy".to_owned());
        }
        let allow = policy.allow.iter().map(|rule| (&rule.calls, &rule.when, &rule.reason));
        let answered = policy.errno.iter().map(|rule| (&rule.calls, &rule.when, &rule.reason));
        for (calls, when, reason) in allow.chain(answered) {
            if calls.is_empty() || reason.trim().is_empty() {
                return Err(format!("a rule without calls or reason: {calls:?}"));
            }
            for condition in when {
                condition.test().map_err(|what| format!("{calls:?}: {what}"))?;
            }
        }
        for refusal in &policy.refuse {
            if refusal.reason.trim().is_empty() {
                return Err(format!("a refusal without a reason: {:?}", refusal.calls));
            }
            for call in &refusal.calls {
                if policy.allow.iter().any(|rule| rule.calls.contains(call))
                    || policy.errno.iter().any(|rule| rule.calls.contains(call))
                {
                    return Err(format!("{call} is refused and permitted at once"));
                }
            }
        }
        for rule in &policy.errno {
            errno(&rule.errno).ok_or_else(|| format!("no such error: {}", rule.errno))?;
        }
        Ok(policy)
    }
}

impl Condition {
    /// The condition in numbers.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn test(&self) -> Result<Test, String> {
        let number = |word: &String| number(word).ok_or_else(|| format!("no such value: {word}"));
        match (&self.is, self.none_of.as_slice(), &self.mask) {
            (Some(is), [], mask) => {
                Ok(Test::Is { mask: mask.as_ref().map(number).transpose()?, value: number(is)? })
            }
            (None, [_, ..], None) => {
                Ok(Test::NoneOf(self.none_of.iter().map(number).collect::<Result<_, _>>()?))
            }
            _ => Err("a condition has either `is` (with an optional mask) or `none_of`".to_owned()),
        }
    }
}

/// A number as it is written in a policy: decimal, hexadecimal, or one of the kernel's names.
/// The names have the same value on every architecture a policy can be compiled for.
#[must_use]
pub fn number(word: &str) -> Option<u64> {
    if let Some(digits) = word.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        return word.parse().ok();
    }
    NAMES.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

/// The number of an error, by name.
#[must_use]
pub fn errno(name: &str) -> Option<u16> {
    match name {
        "EPERM" => Some(1),
        "EACCES" => Some(13),
        "EINVAL" => Some(22),
        "ENOSYS" => Some(38),
        "EAFNOSUPPORT" => Some(97),
        _ => None,
    }
}

const NAMES: &[(&str, u64)] = &[
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_UNIX", 1),
    ("AT_EMPTY_PATH", 0x1000),
    ("FIONBIO", 0x5421),
    ("F_GETFD", 1),
    ("F_GETFL", 3),
    ("F_SETFL", 4),
    ("MAP_ANONYMOUS", 0x20),
    // CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
    ("NAMESPACE_FLAGS", 0x7e02_0080),
    ("NETLINK_ROUTE", 0),
    ("PER_LINUX", 0),
    ("PER_QUERY", 0xffff_ffff),
    ("PROT_EXEC", 4),
    ("PR_CAPBSET_READ", 23),
    ("PR_GET_DUMPABLE", 3),
    ("PR_GET_NAME", 16),
    ("PR_GET_NO_NEW_PRIVS", 39),
    ("PR_GET_PDEATHSIG", 2),
    ("PR_SET_CHILD_SUBREAPER", 36),
    ("PR_SET_DUMPABLE", 4),
    ("PR_SET_NAME", 15),
    ("PR_SET_NO_NEW_PRIVS", 38),
    ("PR_SET_PDEATHSIG", 1),
    ("PR_SET_THP_DISABLE", 41),
    ("PR_SET_TIMERSLACK", 29),
    ("PR_SET_VMA", 0x5356_4d41),
    ("SIGSYS", 31),
    ("SOCK_DGRAM", 2),
    ("SOCK_STREAM", 1),
    // The low byte of the type is the type, the rest are SOCK_CLOEXEC and SOCK_NONBLOCK.
    ("SOCK_TYPE_MASK", 0xff),
    ("SOL_SOCKET", 1),
    ("SO_ERROR", 4),
    ("S_IFIFO", 0o010_000),
    ("S_IFMT", 0o170_000),
    ("TIOCCONS", 0x541d),
    ("TIOCLINUX", 0x541c),
    ("TIOCSCTTY", 0x540e),
    ("TIOCSETD", 0x5423),
    ("TIOCSTI", 0x5412),
];
