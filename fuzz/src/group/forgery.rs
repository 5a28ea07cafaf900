//! A valid request in parts, to be changed and put together again with proper signatures.

use protocol::codec::Opaque;
use protocol::crypto::signature::PrivateKey;
use protocol::error::{ErrorCode, ErrorReply};

use crate::group::anvil::{Info, Leaf, Message, Source};
use crate::group::live::{Ask, Live, Template, Trial};

/// A request that is about to be forged.
pub(super) struct Forgery {
    pub(super) ask: Ask,
    pub(super) message: Message,
    /// What a proposal has none of.
    pub(super) group_info: Option<Info>,
    /// Who signs the messages, and who the request.
    pub(super) signers: [usize; 2],
    /// Whether the leaf of the path is signed again.
    pub(super) signs_leaf: bool,
    /// The place that the leaf of the path is signed for.
    pub(super) place: u32,
    /// What the message is signed with.
    pub(super) context: Vec<u8>,
    /// Whether the GroupInfo follows what is changed in the commit.
    pub(super) follows: bool,
    /// Changes the bytes of the message at last.
    pub(super) spoil: fn(&mut Vec<u8>),
}

impl Forgery {
    /// Take a template apart.
    pub(super) fn of(live: &Live, template: &Template) -> Self {
        let (bytes, group_info, place) = match &template.ask {
            Ask::Commit(request) => (&request.commit, Some(&request.group_info), request.sender.0),
            Ask::Join(request) => {
                let place = u32::try_from(template.by).unwrap();
                (&request.commit, Some(&request.group_info), place)
            }
            Ask::Propose(request) => {
                let message = Message::take(request.proposal.as_slice()).unwrap();
                return Self::with(live, template, message, None, request.sender.0);
            }
        };
        let message = Message::take(bytes.as_slice()).unwrap();
        let group_info = group_info.map(|group_info| Info::take(group_info.as_slice()).unwrap());
        Self::with(live, template, message, group_info, place)
    }

    fn with(
        live: &Live,
        template: &Template,
        message: Message,
        group_info: Option<Info>,
        place: u32,
    ) -> Self {
        Self {
            ask: template.ask.clone(),
            message,
            group_info,
            signers: [template.by; 2],
            signs_leaf: true,
            place,
            context: live.context.clone(),
            follows: true,
            spoil: |_| {},
        }
    }

    /// The leaf of the path, to be changed.
    pub(super) fn leaf(&mut self) -> Option<&mut Leaf> {
        Some(&mut self.message.commit()?.path.as_mut()?.leaf)
    }

    /// Send it.
    pub(super) fn send(mut self, live: &Live, trial: &Trial) -> Result<(), ErrorReply> {
        let [(signer, _), (_, key)] = self.signers.map(|number| &live.signers[number]);
        let (signs_leaf, place) = (self.signs_leaf, self.place);
        let group = self.message.group.clone();
        if let Some(leaf) = self.leaf().filter(|_| signs_leaf) {
            match leaf.source {
                Source::KeyPackage(..) => leaf.sign(signer, None),
                Source::Update | Source::Commit(_) => leaf.sign(signer, Some((&group, place))),
            }
        }
        if let Some(group_info) = self.group_info.as_mut().filter(|_| self.follows) {
            let (message, context) = (&self.message, &self.context);
            group_info.transcript_hash = message.transcript_hash(signer, context, &live.interim);
        }
        let mut bytes = self.message.signed(signer, &self.context);
        (self.spoil)(&mut bytes);
        let group_info = self
            .group_info
            .as_ref()
            .map(|group_info| group_info.signed(signer));
        if let Ask::Propose(request) = &mut self.ask {
            request.proposal = fitting(bytes)?;
        } else if let (Ask::Commit(request), Some(group_info)) = (&mut self.ask, &group_info) {
            request.commit = fitting(bytes)?;
            request.group_info = fitting(group_info.clone())?;
        } else if let (Ask::Join(request), Some(group_info)) = (&mut self.ask, group_info) {
            request.commit = fitting(bytes)?;
            request.group_info = fitting(group_info)?;
        }
        self.ask.send(trial, key)
    }
}

impl Ask {
    /// Sign and send it.
    pub(super) fn send(&self, trial: &Trial, key: &PrivateKey) -> Result<(), ErrorReply> {
        match self {
            Self::Commit(request) => trial.ask(request, key).map(drop),
            Self::Propose(request) => trial.ask(request, key).map(drop),
            Self::Join(request) => trial.ask(request, key).map(drop),
        }
    }
}

/// What is too long has no encoding that could be sent.
fn fitting<const MAX: usize>(bytes: Vec<u8>) -> Result<Opaque<MAX>, ErrorReply> {
    Opaque::new(bytes).map_err(|_| ErrorCode::TooLarge.into())
}
