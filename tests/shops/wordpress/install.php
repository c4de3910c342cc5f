<?php
// The first user: php install.php NAME PASSWORD
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = 'shop.example.com';
require __DIR__ . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
function wp_new_blog_notification(): void {}
wp_install('Kettles', $argv[1], "$argv[1]@example.com", true, '', $argv[2]);
