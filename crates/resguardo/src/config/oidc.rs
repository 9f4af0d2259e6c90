//! `[http.oidc]`: the service that lets people in as well.

use std::path::PathBuf;
use std::sync::Arc;

use resguardo_daemon::oidc::{Roles, Settings, Whom, is_fit};
use resguardo_model::Role;

use super::file::{HttpFile, Leaf, OidcFile};
use super::late::LateSecret;
use super::problem::Problem;
use super::resolver::Resolver;

/// The service as it is configured.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    settings: Settings,
    /// The secret of our client; `None`: it has none.
    pub secret: Option<LateSecret>,
    /// Certificates that are believed instead of the public ones, in PEM.
    ca: Option<PathBuf>,
}

impl OidcSettings {
    /// The service, with the certificates that are believed.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn ready<E>(
        &self,
        read_file: impl Fn(&std::path::Path) -> Result<String, E>,
    ) -> Result<Settings, E> {
        let authority = self.ca.as_deref().map(read_file).transpose()?;
        Ok(Settings {
            authority: authority.map(Arc::from),
            ..self.settings.clone()
        })
    }
}

impl Resolver<'_> {
    /// What `[http.oidc]` says.
    pub(super) fn oidc(&mut self, file: &HttpFile) -> Option<OidcSettings> {
        let leaf = file.oidc.as_ref()?;
        match self.oidc_of(file, leaf) {
            Ok(settings) => Some(settings),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn oidc_of(&mut self, http: &HttpFile, at: &Leaf<OidcFile>) -> Result<OidcSettings, Problem> {
        let file = at.get();
        let key = |field: &str| format!("http.oidc.{field}");
        if http.url.is_none() {
            let message = "[http.oidc] leads people back to an address that is not known";
            let label = "add to [http]: url = \"https://...\", the address in the browser";
            return Err(Problem::at(file.issuer.span(), message, label));
        }
        let issuer = self.text(&key("issuer"), &file.issuer)?;
        if !is_fit(&issuer) {
            let message = format!("the issuer {issuer} is neither https nor on this machine");
            let label = "like https://login.example.com/realms/acme";
            return Err(Problem::at(file.issuer.span(), message, label));
        }
        let client_id = self.text(&key("client_id"), &file.client_id)?;
        let secret = file.client_secret.as_ref();
        let secret = secret.map(|leaf| self.late_secret(&key("client_secret"), leaf));
        let host = issuer.split('/').nth(2).unwrap_or_default().to_owned();
        let name = self.with_default(&key("name"), file.name.as_ref(), host);
        let claim = |word: &str| word.to_owned();
        let name_claim =
            self.with_default(&key("name_claim"), file.name_claim.as_ref(), claim("email"));
        let groups_claim = self.with_default(
            &key("groups_claim"),
            file.groups_claim.as_ref(),
            claim("groups"),
        );
        let usual = vec![claim("email"), claim("profile")];
        let scopes = self.with_default(&key("scopes"), file.scopes.as_ref(), usual);
        let ca = self.optional(&key("ca"), file.ca.as_ref());
        Ok(OidcSettings {
            secret: secret.transpose()?,
            ca: ca.map(|path| self.folder.join(path)),
            settings: Settings {
                roles: self.oidc_roles(file)?,
                issuer,
                client_id,
                name,
                name_claim,
                groups_claim,
                scopes,
                authority: None,
            },
        })
    }

    fn oidc_roles(&mut self, file: &OidcFile) -> Result<Roles, Problem> {
        let mut pairs = Vec::new();
        for (role, leaf) in [
            (Role::Viewer, &file.roles.viewer),
            (Role::Operator, &file.roles.operator),
            (Role::Admin, &file.roles.admin),
        ] {
            let Some(leaf) = leaf else { continue };
            self.optional(&format!("http.oidc.roles.{role}"), Some(leaf));
            for text in leaf.get() {
                let whom: Whom = text.parse().map_err(|error| {
                    Problem::at(leaf.span(), format!("{error}"), "like group:dba")
                })?;
                pairs.push((role, whom));
            }
        }
        if pairs.is_empty() {
            let message = "[http.oidc] gives nobody a role";
            let label = "add roles = { admin = [\"group:dba\"], viewer = [\"@example.com\"] }";
            return Err(Problem::at(file.issuer.span(), message, label));
        }
        Ok(Roles::new(pairs))
    }

    /// A text that has to be there, with its variables replaced.
    fn text(&mut self, key: &str, leaf: &Leaf<String>) -> Result<String, Problem> {
        let setting = self.replaced(leaf)?;
        self.record(key, setting.value.clone().into(), setting.origin);
        Ok(setting.value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use std::path::Path;

    use crate::ambient::Ambient;
    use crate::config::Config;
    use crate::config::load::{Overrides, parse};
    use crate::config::problem::InvalidConfig;
    use crate::config::show;

    const GOOD: &str = r#"
[vault]
url = "./vault"

[http]
url = "https://resguardo.example.com"
behind_proxy = true

[http.oidc]
issuer = "https://login.example.com/realms/acme"
client_id = "resguardo"
client_secret = "s3cret-word"
roles = { admin = ["group:dba"], viewer = ["@example.com"] }
"#;

    fn read(text: &str) -> Result<Config, InvalidConfig> {
        let path = Path::new("/srv/shop/resguardo.toml");
        parse(
            &Ambient::default(),
            &Overrides::default(),
            path,
            text.into(),
        )
    }

    #[test]
    fn what_is_not_said_is_usual_and_the_secret_is_shown_nowhere() {
        let config = read(GOOD).unwrap();
        let oidc = config.oidc.as_ref().unwrap();
        assert_eq!(oidc.settings.name, "login.example.com");
        assert_eq!(oidc.settings.name_claim, "email");
        assert_eq!(oidc.settings.groups_claim, "groups");
        assert_eq!(oidc.settings.scopes, ["email", "profile"]);
        let shown = show::as_json(&config).to_string();
        assert!(shown.contains("http.oidc.issuer") && shown.contains("http.oidc.roles.admin"));
        assert!(!shown.contains("s3cret-word") && !format!("{oidc:?}").contains("s3cret-word"));
        let telling = crate::telling::secrets(&config);
        assert_eq!(telling.len(), 1, "no message has it in it");
        // Without its variable, backups are taken all the same.
        let config = read(&GOOD.replace("s3cret-word", "${NOT_SET}")).unwrap();
        assert!(matches!(config.oidc.unwrap().secret, Some(Err(_))));
    }

    #[test]
    fn what_lets_in_the_wrong_ones_is_refused() {
        for (from, to, why) in [
            (
                "https://login.example.com",
                "http://login.example.com",
                "neither https",
            ),
            (
                "https://login.example.com/realms/acme",
                "login",
                "neither https",
            ),
            (
                "url = \"https://resguardo.example.com\"\nbehind_proxy = true",
                "",
                "leads people back",
            ),
            ("\"group:dba\"", "\"dba\"", "names nobody"),
            ("\"@example.com\"", "\"@\"", "names nobody"),
            (
                "admin = [\"group:dba\"], viewer = [\"@example.com\"]",
                "",
                "gives nobody a role",
            ),
            ("client_id = \"resguardo\"", "", "client_id"),
            ("client_id =", "clientid =", "clientid"),
            ("viewer =", "owner =", "owner"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let told = read(&GOOD.replace(from, to)).unwrap_err().render(false);
            assert!(told.contains(why), "{from}: {told}");
            assert!(!told.contains("s3cret-word"), "{told}");
        }
    }
}
