<?php
// A must-use plugin that stands for plugins with refresh tokens; copied to wp-content/mu-plugins.
//
// Like usefulteam/jwt-auth it takes a cookie `refresh_token` apart at the dot, the user by `intval`, the secret exactly.
// Like CoCart JWT 2 it looks a parameter `refresh_token` up in usermeta, by the collation of the database. Both say for whom
// they would mint. `/mint/v1/issue?kind=cookie|meta` hands a token out.

add_action('rest_api_init', function (): void {
    $open = ['permission_callback' => '__return_true'];
    register_rest_route('mint/v1', '/issue', $open + ['methods' => 'GET', 'callback' => function ($request) {
        $token = bin2hex(random_bytes($request['kind'] === 'meta' ? 64 : 32));
        update_user_meta(1, 'mint_' . $request['kind'], $token);
        return ['token' => $request['kind'] === 'meta' ? $token : "1.$token"];
    }]);
    register_rest_route('mint/v1', '/token', $open + ['methods' => 'POST', 'callback' => function () {
        $parts = explode('.', $_COOKIE['refresh_token'] ?? '');
        if (count($parts) !== 2 || $parts[1] === '') {
            return ['user' => null];
        }
        $user = intval($parts[0]);
        return ['user' => get_user_meta($user, 'mint_cookie', true) === $parts[1] ? $user : null];
    }]);
    register_rest_route('mint/v1', '/refresh', $open + ['methods' => 'POST', 'callback' => function ($request) {
        global $wpdb;
        $query = "SELECT user_id FROM $wpdb->usermeta WHERE meta_key = 'mint_meta' AND meta_value = %s";
        $user = $wpdb->get_var($wpdb->prepare($query, (string) $request['refresh_token']));
        return ['user' => $user === null ? null : intval($user)];
    }]);
});
