//! `connect`, `connections`, `contacts`.

use hearth_sdk::{Error, IncomingRequest, Username};
use serde_json::json;

use super::Session;
use crate::arguments::{Choice, Connections};
use crate::failure::Failure;
use crate::output::name;

pub(super) async fn connect(session: &Session, username: &str) -> Result<(), Failure> {
    let username: Username = username.parse().map_err(Error::from)?;
    session.hearth.connect(&username).await?;
    session.output.line(
        || json!({ "username": username.to_string(), "requested": true }),
        || format!("asked {username}; you are contacts once they accept"),
    )
}

pub(super) async fn connections(
    session: &Session,
    action: Option<Connections>,
) -> Result<(), Failure> {
    let waiting = session.hearth.connection_requests().await?;
    match action.unwrap_or(Connections::List) {
        Connections::List => list_requests(session, &waiting),
        Connections::Accept(choice) => {
            for request in chosen(&choice, &waiting)? {
                let contact = session.hearth.accept(request.id).await?;
                session.output.line(
                    || json!({ "request": request.id, "accepted": true, "contact": contact }),
                    || format!("{} is a contact now", name(&request.from)),
                )?;
            }
            Ok(())
        }
        Connections::Reject(choice) => {
            for request in chosen(&choice, &waiting)? {
                session.hearth.reject(request.id).await?;
                session.output.line(
                    || json!({ "request": request.id, "accepted": false }),
                    || format!("{} was rejected and is not told", name(&request.from)),
                )?;
            }
            Ok(())
        }
    }
}

fn list_requests(session: &Session, waiting: &[IncomingRequest]) -> Result<(), Failure> {
    if waiting.is_empty() {
        session.output.note("nobody waits for an answer")?;
    }
    for request in waiting {
        let id = request.id.0;
        session.output.line(
            || json!({ "request": id, "from": request.from, "username": request.username }),
            || {
                let from = name(&request.from);
                format!("{id}: {from}; `hearth connections accept {id}` or `reject {id}`")
            },
        )?;
    }
    Ok(())
}

/// Those that were meant: the exact number, else the only one whose number or name begins so.
fn chosen<'a>(
    choice: &Choice,
    waiting: &'a [IncomingRequest],
) -> Result<Vec<&'a IncomingRequest>, Failure> {
    let Some(typed) = &choice.request else {
        return Ok(waiting.iter().collect());
    };
    if let Some(exact) = waiting.iter().find(|one| one.id.0.to_string() == *typed) {
        return Ok(vec![exact]);
    }
    let fits = |request: &&IncomingRequest| {
        let number = request.id.0.to_string();
        number.starts_with(typed) || name(&request.from).starts_with(typed)
    };
    let fitting: Vec<_> = waiting.iter().filter(fits).collect();
    match fitting.len() {
        0 => Err(Failure::Unknown("request", typed.clone())),
        1 => Ok(fitting),
        _ => Err(Failure::Ambiguous("request", typed.clone())),
    }
}

pub(super) async fn list(session: &Session) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let contacts = session.hearth.contacts().await?;
    if contacts.is_empty() {
        let advice = "no contacts; `hearth connect USER@DOMAIN` asks somebody";
        session.output.note(advice)?;
    }
    for contact in contacts {
        session.output.line(
            || {
                let name = name(&contact.person);
                json!({ "contact": contact.id, "name": name, "person": contact.person })
            },
            || name(&contact.person),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hearth_sdk::{Person, RequestId};

    use super::*;

    fn request(id: i64, display_name: &str) -> IncomingRequest {
        IncomingRequest {
            id: RequestId(id),
            from: Person {
                address: None,
                client: None,
                username: None,
                display_name: Some(display_name.to_owned()),
                verified: true,
                is_self: false,
            },
            username: "aspen@localhost".to_owned(),
        }
    }

    fn chosen_ids(typed: &str) -> Result<Vec<i64>, Failure> {
        let waiting = [
            request(1, "Birch"),
            request(10, "Cedar"),
            request(23, "Cypress"),
        ];
        let choice = Choice {
            request: Some(typed.to_owned()),
            all: false,
        };
        let chosen = chosen(&choice, &waiting)?;
        Ok(chosen.iter().map(|request| request.id.0).collect())
    }

    #[test]
    fn a_request_is_chosen_by_number_or_unique_beginning() {
        assert_eq!(chosen_ids("1").unwrap(), [1], "an exact number wins");
        assert_eq!(chosen_ids("2").unwrap(), [23]);
        assert_eq!(chosen_ids("Bi").unwrap(), [1]);
        assert!(matches!(chosen_ids("C"), Err(Failure::Ambiguous(..))));
        assert!(matches!(chosen_ids("9"), Err(Failure::Unknown(..))));
    }
}
