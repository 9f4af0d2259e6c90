//! Who gets which role: by group, by e-mail, by the domain of the e-mail.

use std::str::FromStr;

use resguardo_model::Role;

/// Whom a role is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A group of the provider: `group:NAME`.
    Group(String),
    /// A verified e-mail.
    Email(String),
    /// Every verified e-mail of a domain: `@example.com`.
    Domain(String),
}

/// A text that names nobody.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} names nobody: group:NAME, an e-mail, or @DOMAIN")]
pub struct NotWhom(pub String);

impl FromStr for Whom {
    type Err = NotWhom;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotWhom(text.to_owned());
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(refused());
        }
        if let Some(name) = text.strip_prefix("group:") {
            return match name {
                "" => Err(refused()),
                name => Ok(Self::Group(name.to_owned())),
            };
        }
        match text.rsplit_once('@') {
            Some((_, domain)) if !domain.contains('.') && domain != "localhost" => Err(refused()),
            Some(("", domain)) => Ok(Self::Domain(domain.to_ascii_lowercase())),
            Some(_) if !text.contains(char::is_whitespace) => {
                Ok(Self::Email(text.to_ascii_lowercase()))
            }
            _ => Err(refused()),
        }
    }
}

/// What the config says of roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<(Role, Whom)>);

impl Roles {
    /// Of pairs, in any order.
    #[must_use]
    pub fn new(pairs: Vec<(Role, Whom)>) -> Self {
        Self(pairs)
    }

    /// Whether nobody is given any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest role of somebody with that verified e-mail and those groups; `None`: no role.
    #[must_use]
    pub fn of(&self, email: Option<&str>, groups: &[String]) -> Option<Role> {
        let email = email.map(str::to_ascii_lowercase);
        let is_meant = |whom: &Whom| match whom {
            Whom::Group(name) => groups.contains(name),
            Whom::Email(own) => email.as_ref() == Some(own),
            Whom::Domain(domain) => email
                .as_ref()
                .and_then(|email| email.rsplit_once('@'))
                .is_some_and(|(name, own)| !name.is_empty() && own == domain),
        };
        let given = self.0.iter().filter(|(_, whom)| is_meant(whom));
        given.map(|(role, _)| *role).max()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn roles() -> Roles {
        Roles::new(vec![
            (Role::Viewer, "@acme.example".parse().unwrap()),
            (Role::Operator, "Maria@acme.example".parse().unwrap()),
            (Role::Admin, "group:/dba".parse().unwrap()),
        ])
    }

    #[test]
    fn the_highest_role_counts() {
        let groups = ["staff".to_owned(), "/dba".to_owned()];
        let roles = roles();
        assert_eq!(
            roles.of(Some("MARIA@ACME.example"), &[]),
            Some(Role::Operator)
        );
        assert_eq!(roles.of(Some("ana@acme.example"), &[]), Some(Role::Viewer));
        assert_eq!(
            roles.of(Some("ana@acme.example"), &groups),
            Some(Role::Admin)
        );
        assert_eq!(roles.of(None, &groups), Some(Role::Admin));
        for nobody in [
            None,
            Some("ana@evil.example"),
            Some("ana@sub.acme.example"),
            Some("acme.example"),
            Some("@acme.example"),
            Some("maria@acme.example@evil.example"),
            Some(""),
        ] {
            assert_eq!(roles.of(nobody, &groups[..1]), None, "{nobody:?}");
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for odd in [
            "",
            "maria",
            "group:",
            "@",
            "@acme",
            "a b@acme.example",
            " a@acme.example",
            "a@b\n.c",
        ] {
            assert!(odd.parse::<Whom>().is_err(), "{odd:?}");
        }
        assert_eq!(
            "group:data base admins".parse(),
            Ok(Whom::Group("data base admins".to_owned()))
        );
    }
}
