//! The tables, in the column types both databases share: BigInt, Text, Binary, Bool.

diesel::table! { generation (topic) { topic -> Text, value -> BigInt, } }
diesel::table! { setting (name) { name -> Text, value -> Binary, } }
diesel::table! {
    root_key (id, master) {
        id -> BigInt,
        kind -> Text,
        master -> Text,
        turn -> BigInt,
        sealed -> Binary,
        created_at -> BigInt,
        seals_since -> Nullable<BigInt>,
    }
}
diesel::table! {
    signing_key (kid) {
        kid -> Text,
        alg -> Text,
        public_jwk -> Text,
        sealed_private -> Binary,
        created_at -> BigInt,
        activates_at -> BigInt,
        removed_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    users (id) {
        id -> Text,
        email -> Text,
        email_key -> Text,
        name -> Nullable<Text>,
        role -> Text,
        groups -> Text,
        password_hash -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
        second_factor_required -> Bool,
    }
}
diesel::table! {
    login_throttle (throttle_key) {
        throttle_key -> Text,
        failures -> BigInt,
        blocked_until -> BigInt,
        updated_at -> BigInt,
    }
}
diesel::table! { setup_link (digest) { digest -> Binary, created_at -> BigInt, expires_at -> BigInt, } }
diesel::table! {
    session (id) {
        id -> Text,
        digest -> Binary,
        user_id -> Text,
        auth_time -> BigInt,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        methods -> Text,
        identity_id -> Nullable<Text>,
    }
}
diesel::table! {
    resource (id) {
        id -> Text,
        uri -> Text,
        uri_key -> Text,
        name -> Text,
        scopes -> Text,
        access_token_ttl -> Nullable<BigInt>,
        signing_alg -> Text,
        is_default -> Bool,
        client_rule -> Text,
        client_id -> Text,
        secret_digest -> Binary,
        slug -> Nullable<Text>,
        upstream -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        removed_at -> Nullable<BigInt>,
        second_factor_required -> Bool,
        access_rule -> Text,
        gateway -> Text,
    }
}
diesel::table! {
    client (id) {
        id -> Text,
        kind -> Text,
        metadata -> Text,
        secret_digest -> Nullable<Binary>,
        registration_digest -> Nullable<Binary>,
        resources -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
        first_granted_at -> Nullable<BigInt>,
        document_fresh_until -> Nullable<BigInt>,
        document_version -> BigInt,
        search_key -> Text,
    }
}
diesel::table! {
    client_document (client_id, version) {
        client_id -> Text,
        version -> BigInt,
        fetched_at -> BigInt,
        body -> Text,
        difference -> Text,
        etag -> Nullable<Text>,
        last_modified -> Nullable<Text>,
    }
}
diesel::table! {
    initial_access_token (id) {
        id -> Text,
        digest -> Binary,
        name -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        remaining -> Nullable<BigInt>,
    }
}
diesel::table! {
    access_grant (id) {
        id -> Text,
        user_id -> Nullable<Text>,
        client_id -> Text,
        resource_id -> Text,
        scopes -> Text,
        client_fingerprint -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        expires_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
        last_used_address -> Nullable<Text>,
        revoked_at -> Nullable<BigInt>,
        revoked_reason -> Nullable<Text>,
        narrowed_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    consent_request (digest) { digest -> Binary, session_id -> Text, request -> Text, expires_at -> BigInt, }
}
diesel::table! {
    authorization_code (digest) {
        digest -> Binary,
        family_id -> Text,
        user_id -> Text,
        client_id -> Text,
        redirect_uri -> Text,
        code_challenge -> Text,
        resources -> Text,
        offline -> Bool,
        auth_time -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        consumed_at -> Nullable<BigInt>,
        methods -> Text,
        identity_id -> Nullable<Text>,
    }
}
diesel::table! {
    token_family (id) {
        id -> Text,
        client_id -> Text,
        user_id -> Text,
        auth_time -> BigInt,
        offline -> Bool,
        resources -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        methods -> Text,
        identity_id -> Nullable<Text>,
    }
}
diesel::table! {
    refresh_token (digest) {
        digest -> Binary,
        family_id -> Text,
        generation -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    access_token (status_index) {
        status_index -> BigInt,
        id -> Text,
        grant_id -> Text,
        family_id -> Nullable<Text>,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    one_time_secret (user_id) {
        user_id -> Text,
        sealed -> Binary,
        created_at -> BigInt,
        last_step -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}
diesel::table! { recovery_code (digest) { digest -> Binary, user_id -> Text, created_at -> BigInt, } }
diesel::table! {
    passkey (id) {
        id -> Text,
        credential_id -> Binary,
        user_id -> Text,
        name -> Text,
        credential -> Text,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    sign_in_step (digest) {
        digest -> Binary,
        user_id -> Nullable<Text>,
        sealed -> Binary,
        expires_at -> BigInt,
    }
}
diesel::table! { assertion_seen (digest) { digest -> Binary, expires_at -> BigInt, } }
diesel::table! {
    audit_event (seq) {
        seq -> BigInt,
        lane -> BigInt,
        position -> BigInt,
        id -> Text,
        at -> BigInt,
        kind -> Text,
        user_id -> Nullable<Text>,
        client_id -> Nullable<Text>,
        grant_id -> Nullable<Text>,
        resource_id -> Nullable<Text>,
        address -> Nullable<Text>,
        request_id -> Nullable<Text>,
        detail -> Text,
        salt -> Nullable<Binary>,
        commitment -> Binary,
        hash -> Binary,
        erased -> Nullable<Binary>,
    }
}

diesel::table! {
    audit_head (lane) {
        lane -> BigInt,
        count -> BigInt,
        hash -> Binary,
        mac -> Nullable<Binary>,
    }
}

diesel::table! {
    audit_anchor (lane) {
        lane -> BigInt,
        count -> BigInt,
        hash -> Binary,
        mac -> Binary,
    }
}

diesel::table! {
    audit_checkpoint (lane, count) {
        lane -> BigInt,
        count -> BigInt,
        hash -> Binary,
        mac -> Binary,
        at -> BigInt,
        statement -> Text,
    }
}
diesel::table! { checkpoint_key (kid) { kid -> Text, public_jwk -> Text, first_used_at -> BigInt, } }
diesel::table! {
    access_cut (id) {
        id -> Text,
        target_kind -> Text,
        target -> Text,
        label -> Text,
        kind -> Text,
        reason -> Text,
        by_user_id -> Nullable<Text>,
        by_name -> Text,
        at -> BigInt,
        until_at -> Nullable<BigInt>,
        applied_at -> Nullable<BigInt>,
        undone_at -> Nullable<BigInt>,
        undone_by -> Nullable<Text>,
        grants -> Text,
        impact -> Text,
    }
}

diesel::table! {
    alert (id) {
        id -> Text,
        detector -> Text,
        subject_kind -> Text,
        subject -> Text,
        first_at -> BigInt,
        last_at -> BigInt,
        occurrences -> BigInt,
        raised_at -> BigInt,
        action -> Text,
        isolate_for -> Nullable<BigInt>,
        cut_id -> Nullable<Text>,
        outcome -> Text,
        acknowledged_at -> Nullable<BigInt>,
        acknowledged_by -> Nullable<Text>,
    }
}
diesel::table! {
    detector_rule (detector) {
        detector -> Text,
        is_on -> Bool,
        threshold -> BigInt,
        window_seconds -> BigInt,
        action -> Text,
        isolate_for -> Nullable<BigInt>,
    }
}

diesel::table! {
    inactivity (subject_kind, subject) {
        subject_kind -> Text,
        subject -> Text,
        warned_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    api_request (digest) {
        digest -> Binary,
        fingerprint -> Binary,
        status -> Nullable<BigInt>,
        answer -> Nullable<Binary>,
        created_at -> BigInt,
    }
}

diesel::table! {
    identity_provider (id) {
        id -> Text,
        name -> Text,
        issuer -> Text,
        client_id -> Text,
        secret -> Binary,
        rules -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
        last_sign_in_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    identity (id) {
        id -> Text,
        provider_id -> Text,
        sub -> Text,
        user_id -> Text,
        email -> Nullable<Text>,
        upstream -> Nullable<Binary>,
        created_at -> BigInt,
        last_sign_in_at -> Nullable<BigInt>,
        checked_at -> Nullable<BigInt>,
        checking_until -> Nullable<BigInt>,
    }
}
diesel::table! {
    mail_outbox (id) {
        id -> Text,
        kind -> Text,
        user_id -> Nullable<Text>,
        sealed -> Binary,
        created_at -> BigInt,
        due_at -> BigInt,
        tries -> BigInt,
        give_up_at -> BigInt,
    }
}
diesel::table! { alert_notice (alert_id) { alert_id -> Text, detector -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(access_grant, users, client, resource, grant_token);
diesel::allow_tables_to_appear_in_same_query!(users, audit_event, session, inactivity);
diesel::allow_tables_to_appear_in_same_query!(client, audit_event);
diesel::allow_tables_to_appear_in_same_query!(client, inactivity);
diesel::allow_tables_to_appear_in_same_query!(identity, users);
diesel::allow_tables_to_appear_in_same_query!(identity, session);
diesel::table! {
    endpoint (id) {
        id -> Text,
        kind -> Text,
        url -> Text,
        events -> Text,
        audience -> Nullable<Text>,
        subject -> Text,
        signing_alg -> Text,
        sealed_secret -> Nullable<Binary>,
        sealed_previous -> Nullable<Binary>,
        previous_until -> Nullable<BigInt>,
        ca -> Nullable<Text>,
        created_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
        disabled_reason -> Nullable<Text>,
        last_success_at -> Nullable<BigInt>,
        last_failure_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
        failures -> BigInt,
        next_try_at -> BigInt,
        lease_owner -> Nullable<Text>,
        lease_until -> BigInt,
    }
}
diesel::table! { endpoint_position (name, lane) { name -> Text, lane -> BigInt, position -> BigInt, } }
diesel::table! {
    delivery (id) {
        id -> Text,
        endpoint_id -> Text,
        event_type -> Text,
        payload -> Text,
        created_at -> BigInt,
        tries -> BigInt,
        next_try_at -> Nullable<BigInt>,
        delivered_at -> Nullable<BigInt>,
        given_up_at -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
    }
}
diesel::table! {
    tool (resource_id, name) {
        resource_id -> Text,
        name -> Text,
        state -> Text,
        class -> Nullable<Text>,
        class_set -> Bool,
        digest -> Binary,
        seen -> Text,
        changed_at -> BigInt,
        approved_by -> Nullable<Text>,
    }
}
diesel::table! {
    upstream_credential (resource_id) {
        resource_id -> Text,
        kind -> Text,
        header -> Text,
        sealed_key -> Binary,
        sealed_value -> Binary,
        created_at -> BigInt,
    }
}
diesel::table! {
    upstream_tls (resource_id) {
        resource_id -> Text,
        about -> Text,
        sealed_key -> Binary,
        sealed_value -> Binary,
        created_at -> BigInt,
    }
}
diesel::table! {
    grant_token (grant_id) {
        grant_id -> Text,
        id -> Text,
        digest -> Binary,
        tools -> Nullable<Text>,
        created_at -> BigInt,
    }
}
diesel::table! {
    call_rule (id) {
        id -> Text,
        resource_id -> Text,
        subject_kind -> Text,
        subject -> Text,
        conditions -> Text,
        effect -> Text,
        reason -> Text,
        created_at -> BigInt,
        created_by -> Nullable<Text>,
        callers -> Text,
    }
}
diesel::table! {
    cedar (resource_id) {
        resource_id -> Text,
        policies -> Text,
        set_at -> BigInt,
        set_by -> Nullable<Text>,
    }
}
diesel::table! {
    call_approval (id) {
        id -> Text,
        rule_id -> Text,
        reason -> Text,
        resource_id -> Text,
        grant_id -> Text,
        user_id -> Nullable<Text>,
        client_id -> Text,
        method -> Text,
        name -> Text,
        digest -> Binary,
        sealed -> Binary,
        created_at -> BigInt,
        expires_at -> BigInt,
        decided_at -> Nullable<BigInt>,
        decided_by -> Nullable<Text>,
        allowed -> Nullable<Bool>,
        used_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    mail_link (digest) {
        digest -> Binary,
        purpose -> Text,
        user_id -> Text,
        email -> Text,
        bound_to -> Binary,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}
diesel::table! {
    invitation (id) {
        id -> Text,
        digest -> Binary,
        email -> Text,
        email_key -> Text,
        name -> Nullable<Text>,
        role -> Text,
        groups -> Text,
        invited_by -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        accepted_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    upstream_auth (resource_id) {
        resource_id -> Text,
        kind -> Text,
        settings -> Text,
        sealed_secret -> Nullable<Binary>,
        created_at -> BigInt,
    }
}
diesel::table! {
    upstream_connection (resource_id, user_id) {
        resource_id -> Text,
        user_id -> Text,
        sealed_key -> Binary,
        sealed_tokens -> Binary,
        expires_at -> Nullable<BigInt>,
        scope -> Text,
        connected_at -> BigInt,
        refreshed_at -> BigInt,
        version -> BigInt,
        leased_until -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    upstream_revocation (id) {
        id -> Text,
        resource_id -> Text,
        sealed -> Binary,
        attempts -> BigInt,
        next_at -> BigInt,
        created_at -> BigInt,
    }
}
diesel::table! {
    cut_hook (id) {
        id -> Text,
        name -> Text,
        targets -> Text,
        sealed_secret -> Binary,
        created_at -> BigInt,
        created_by -> Text,
        last_used_at -> Nullable<BigInt>,
    }
}
